"""What the form of an audience offers, and an audience in words of the visitor's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Model
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from console.casting.fields.audience import (
    LISTED,
    MISSING,
    OPERATORS,
    ROLE_KINDS,
    AudienceForm,
    AudienceRow,
    ConditionRow,
)
from directory.audiences.fields import FIELDS, Kind
from directory.models import Group, Segment, Subject, SubscriberList
from notifications.domain.identifiers import parse_identifier

SHOWN = 100
"""The groups, lists, segments and subjects that are offered by name. Others are named by id."""
LONGEST_SHOWN = 200
"""Characters of the values of one condition that are shown."""
KINDS: Mapping[str, str | Promise] = {
    "all": gettext_lazy("everyone"),
    "all_students": gettext_lazy("all students"),
    "all_teachers": gettext_lazy("all teachers"),
    "all_tutors": gettext_lazy("all tutors"),
    "all_parents": gettext_lazy("all parents"),
    "group": gettext_lazy("group"),
    "list": gettext_lazy("mailing list"),
    "segment": gettext_lazy("saved segment"),
    "by_subject": gettext_lazy("students and teachers of the subject"),
    "by_teacher": gettext_lazy("students of the teacher"),
    "by_tutor": gettext_lazy("students of the tutor"),
    LISTED: gettext_lazy("these people"),
}
_TABLES: Mapping[str, type[Model]] = {
    "group": Group,
    "list": SubscriberList,
    "segment": Segment,
    "by_subject": Subject,
}
FIELD_NAMES: Mapping[str, str | Promise] = {
    "role": gettext_lazy("role"),
    "locale": gettext_lazy("language"),
    "timezone": gettext_lazy("time zone"),
    "subscription_tier": gettext_lazy("subscription"),
    "external_id": gettext_lazy("external id"),
    "date_joined": gettext_lazy("day of joining"),
    "last_login": gettext_lazy("last sign-in"),
    "groups": gettext_lazy("groups, by id"),
    "lists": gettext_lazy("mailing lists, by id"),
    "subjects": gettext_lazy("subjects, by id"),
    "contact_points": gettext_lazy("kinds of addresses"),
    "attributes": gettext_lazy("attribute"),
}
OPERATOR_NAMES: Mapping[str, str | Promise] = {
    "eq": gettext_lazy("is"),
    "ne": gettext_lazy("is not"),
    "in": gettext_lazy("is one of"),
    "not_in": gettext_lazy("is none of"),
    "lt": gettext_lazy("is less, or earlier, than"),
    "lte": gettext_lazy("is at most"),
    "gt": gettext_lazy("is more, or later, than"),
    "gte": gettext_lazy("is at least"),
    "contains": gettext_lazy("contains"),
    "starts_with": gettext_lazy("starts with"),
    "exists": gettext_lazy("is known"),
    MISSING: gettext_lazy("is not known"),
}


class Choice(NamedTuple):
    """One option of a list."""

    value: str
    name: str


class ChoiceGroup(NamedTuple):
    """Options under one heading."""

    title: str
    choices: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class AudienceChoices:
    """What the rows of an audience offer."""

    groups: Sequence[ChoiceGroup]
    fields: Sequence[Choice]
    operators: Sequence[Choice]

    def with_chosen(self, rows: Sequence[AudienceRow]) -> list[dict[str, Any]]:
        """Returns the rows for the form: the chosen option, and what is typed beside it."""
        offered = {each.value for group in self.groups for each in group.choices}
        found = []
        for row in rows:
            named = f"{row.kind}:{row.value}"
            is_offered = named in offered
            found.append(
                {
                    "chosen": named if is_offered else row.kind,
                    "value": "" if is_offered else row.value,
                }
            )
        return found


def named_choices(pairs: Iterable[tuple[str, str | Promise]]) -> list[Choice]:
    """Returns choices of values with their names, in the language of the page."""
    return [Choice(value, str(name)) for value, name in pairs]


def audience_choices() -> AudienceChoices:
    """Returns what the form offers. Makes four queries."""
    titles = {
        "group": _("Groups"),
        "list": _("Mailing lists"),
        "segment": _("Saved segments"),
        "by_subject": _("Subjects"),
    }
    groups = [ChoiceGroup(_("Roles"), [Choice(kind, str(KINDS[kind])) for kind in ROLE_KINDS])]
    for kind, table in _TABLES.items():
        rows = table._default_manager.order_by("name").values_list("pk", "name")[:SHOWN]
        groups.append(
            ChoiceGroup(titles[kind], [Choice(f"{kind}:{key}", name) for key, name in rows])
        )
    typed = [Choice(kind, str(name)) for kind, name in KINDS.items() if kind not in ROLE_KINDS]
    groups.append(ChoiceGroup(_("By id, which you type beside it"), typed))
    return replace(condition_choices(), groups=[each for each in groups if each.choices])


def condition_choices() -> AudienceChoices:
    """Returns what rows of conditions offer, without people. Makes no query."""
    fields = [
        Choice(name, str(FIELD_NAMES[name]))
        for name, field in FIELDS.items()
        if field.kind is not Kind.ENGAGEMENT
    ]
    operators = [Choice(name, str(OPERATOR_NAMES[name])) for name in (*OPERATORS, MISSING)]
    return AudienceChoices((), fields, operators)


def audience_in_words(form: AudienceForm) -> list[str]:
    """Returns an audience as lines: who, under which conditions, and who is left out.

    Empty where the rows of the form cannot say it. Makes up to four queries.
    """
    if form.text:
        return []
    names = _names_of([*form.to, *form.without])
    lines = [_joined(form.to, names)]
    if form.where:
        tests = _(" and ").join(_test_in_words(row) for row in form.where)
        lines.append(_("where %(conditions)s") % {"conditions": tests})
    if form.without:
        lines.append(_("without %(people)s") % {"people": _joined(form.without, names)})
    return lines


def _joined(rows: Sequence[AudienceRow], names: Mapping[tuple[str, str], str]) -> str:
    return _(" or ").join(_row_in_words(row, names) for row in rows)


def _row_in_words(row: AudienceRow, names: Mapping[tuple[str, str], str]) -> str:
    if row.kind == LISTED:
        count = len(row.value.split())
        return ngettext("%(count)d person", "%(count)d people", count) % {"count": count}
    kind = str(KINDS.get(row.kind, row.kind))
    if row.kind in ROLE_KINDS:
        return kind
    return f"{kind} «{names.get((row.kind, row.value), row.value)}»"


def _test_in_words(row: ConditionRow) -> str:
    field = row.key or str(FIELD_NAMES.get(row.field, row.field))
    operator = str(OPERATOR_NAMES.get(row.operator, row.operator))
    value = Truncator(row.value).chars(LONGEST_SHOWN)
    if FIELDS[row.field].kind is Kind.MOMENT and value.isdigit():
        value = ngettext("%(count)d day ago", "%(count)d days ago", int(value)) % {
            "count": int(value)
        }
    return f"{field} {operator} {value}".strip()


def _names_of(rows: Sequence[AudienceRow]) -> dict[tuple[str, str], str]:
    """Returns the names of the groups, lists, segments and subjects that rows name by id."""
    found: dict[tuple[str, str], str] = {}
    for kind, table in _TABLES.items():
        keys = [parse_identifier(row.value) for row in rows if row.kind == kind]
        by_id = [key for key in keys if isinstance(key, int)]
        by_uuid = [key for key in keys if isinstance(key, UUID) and kind != "by_subject"]
        for column, wanted in (("pk", by_id), ("uuid", by_uuid)):
            if wanted:
                named = table._default_manager.filter(**{f"{column}__in": wanted})
                pairs = named.values_list(column, "name")
                found |= {(kind, str(key)): name for key, name in pairs}
    return found
