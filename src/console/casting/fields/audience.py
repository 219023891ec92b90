"""The audience builder: rows of a form, and the audience in the language of audiences.

    to         those who are in at least one of the rows
    where      conditions, each of which must hold
    without    those who are in one of these rows get nothing

What rows cannot say, such as deeper compositions, is in the form as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.http import QueryDict
from django.utils.translation import gettext as _

from directory.audiences.fields import ATTRIBUTES, FIELDS, Kind
from notifications.api.bodies import read_json
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest

MOST_ROWS = 20
"""Rows of one part. An audience with more is in the form as JSON, which the request bounds."""
LONGEST_VALUE = 20_000
"""Characters of a row: some thousand people. A longer one is refused, and not cut off."""
ROLE_KINDS = ("all", "all_students", "all_teachers", "all_tutors", "all_parents")
NAMED_KINDS: Mapping[str, str] = {
    "group": "group_id",
    "list": "list_id",
    "segment": "segment_id",
    "by_subject": "subject_id",
    "by_teacher": "teacher_id",
    "by_tutor": "tutor_id",
}
"""The kinds of rows that name one thing, and the field that names it."""
LISTED = "custom"
MISSING = "missing"
"""The opposite of the operator `exists`."""
OPERATORS = (
    "eq", "ne", "in", "not_in", "lt", "lte", "gt", "gte", "contains", "starts_with", "exists",
)  # fmt: skip
_SPACES = re.compile(r"[\s,;]+")
_SEVERAL = ("in", "not_in")


class AudienceRow(NamedTuple):
    """People of one kind. value: the id of what is named, or ids of people."""

    kind: str = ""
    value: str = ""


class ConditionRow(NamedTuple):
    """A test of one field. key: the place in the attributes."""

    field: str = ""
    key: str = ""
    operator: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class AudienceForm:
    """What the form says."""

    to: Sequence[AudienceRow] = ()
    where: Sequence[ConditionRow] = ()
    without: Sequence[AudienceRow] = ()
    #: An audience as JSON, in place of the rows; empty for none.
    text: str = ""

    def audience(self) -> dict[str, Any]:
        """Returns the audience.

        Raises:
            InvalidRequest: no one is named, there are too many rows, one is too long, or the JSON
                is not an object.
        """
        if self.text:
            if self.to or self.where or self.without:
                raise _fault("invalid", _("choose rows or write JSON, not both"))
            return _read_text(self.text)
        _check_limits(self)
        _check_complete(self)
        return self.unlimited()

    def unlimited(self) -> dict[str, Any]:
        """Returns the audience of the rows, however many they are. Raises as `audience`."""
        rules = [_rule(row) for row in self.to]
        if not rules:
            raise _fault("required", _("choose who gets it"))
        found = _any(rules)
        if self.where:
            tests = [_test(row) for row in self.where]
            criteria = tests[0] if len(tests) == 1 else {"all": tests}
            matching = {"rule": "segment", "criteria": criteria}
            is_all = found == {"rule": "all"}
            found = matching if is_all else {"all": [found, matching]}
        if self.without:
            found = {"from": found, "except": _any([_rule(row) for row in self.without])}
        return found

    def with_blanks(self) -> AudienceForm:
        """Returns the form with one empty row in each part, to be filled."""
        return replace(
            self,
            to=_with_blank(self.to, AudienceRow()),
            where=_with_blank(self.where, ConditionRow()),
            without=_with_blank(self.without, AudienceRow()),
        )


def _with_blank(rows: Sequence[Any], blank: Any) -> list[Any]:
    return [*rows, blank] if len(rows) < MOST_ROWS else list(rows)


def _check_limits(form: AudienceForm) -> None:
    """Refuses rows beyond the limits.

    Raises:
        InvalidRequest: too_many, too_long.
    """
    parts: Sequence[Sequence[tuple[str, ...]]] = (form.to, form.where, form.without)
    for rows in parts:
        if len(rows) > MOST_ROWS:
            detail = _("has %(count)d rows in one part, and may have %(most)d: write it as JSON")
            raise _fault("too_many", detail % {"count": len(rows), "most": MOST_ROWS})
        longest = max((len(text) for row in rows for text in row), default=0)
        if longest > LONGEST_VALUE:
            detail = _("has %(count)d characters in one field, and may have %(most)d: write JSON")
            raise _fault("too_long", detail % {"count": longest, "most": LONGEST_VALUE})


def _check_complete(form: AudienceForm) -> None:
    """Refuses rows with a value that do not say of what. Dropped, an exclusion would be none.

    Raises:
        InvalidRequest: incomplete.
    """
    for row in (*form.to, *form.without):
        if not row.kind:
            detail = _("choose what «%(value)s» names, or empty the field")
            raise _fault("incomplete", detail % {"value": row.value[:100]})
    for test in form.where:
        if not test.field:
            detail = _("choose the field of the condition «%(value)s», or empty it")
            raise _fault("incomplete", detail % {"value": (test.value or test.key)[:100]})


def read_audience_form(form: QueryDict) -> AudienceForm:
    """Returns what a form says; rows in which nothing is written are left out."""
    return AudienceForm(
        to=_rows(form, "to"),
        where=_conditions(form),
        without=_rows(form, "without"),
        text=form.get("audience", "").strip(),
    )


def _rows(form: QueryDict, name: str) -> list[AudienceRow]:
    kinds, values = form.getlist(f"{name}_kind"), form.getlist(f"{name}_value")
    found = []
    for place, text in enumerate(kinds):
        kind, _colon, named = text.strip().partition(":")
        typed = values[place].strip() if place < len(values) else ""
        if kind or typed:
            found.append(AudienceRow(kind, named or typed))
    return found


def _conditions(form: QueryDict) -> list[ConditionRow]:
    columns = [form.getlist(f"where_{name}") for name in ConditionRow._fields]
    rows = [ConditionRow(*(each.strip() for each in row)) for row in zip(*columns)]  # noqa: B905 -- a form that lacks fields has fewer rows
    return [row for row in rows if row.field or row.key or row.value]


def form_of_audience(audience: Mapping[str, Any]) -> AudienceForm:
    """Returns the form that changes an audience: in rows where they can say it, else as JSON."""
    found = shown_audience(audience)
    try:
        found.audience()
    except InvalidRequest:
        return _as_json(audience)
    return found


def shown_audience(audience: Mapping[str, Any]) -> AudienceForm:
    """Returns the form that says an audience in words: its rows may be more than a form takes."""
    try:
        found = _read(audience)
        if found.unlimited() == audience:
            return found
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, CarillonError):
        pass  # an audience of any form may be stored: what rows cannot say is shown as JSON
    return _as_json(audience)


def _as_json(audience: Mapping[str, Any]) -> AudienceForm:
    text = json.dumps(audience, ensure_ascii=False, indent=1)
    is_long = len(text) > LONGEST_VALUE
    return AudienceForm(text=json.dumps(audience, ensure_ascii=False) if is_long else text)


def _read(audience: Mapping[str, Any]) -> AudienceForm:
    without: list[AudienceRow] = []
    if "from" in audience:
        without = _rows_of(audience["except"])
        audience = audience["from"]
    where: list[ConditionRow] = []
    if "all" in audience:
        audience, matching = audience["all"]
        where = _conditions_of(matching["criteria"])
    elif "criteria" in audience:
        where, audience = _conditions_of(audience["criteria"]), {"rule": "all"}
    return AudienceForm(to=_rows_of(audience), where=where, without=without)


def _rows_of(audience: Mapping[str, Any]) -> list[AudienceRow]:
    return [_row_of(each) for each in audience.get("any", [audience])]


def _row_of(rule: Mapping[str, Any]) -> AudienceRow:
    kind = rule["rule"]
    if kind == LISTED:
        return AudienceRow(kind, " ".join(str(each) for each in rule["user_ids"]))
    key = NAMED_KINDS.get(kind)
    return AudienceRow(kind, str(rule[key]) if key else "")


def _conditions_of(criteria: Mapping[str, Any]) -> list[ConditionRow]:
    return [_condition_of(each) for each in criteria.get("all", [criteria])]


def _condition_of(test: Mapping[str, Any]) -> ConditionRow:
    field, _dot, key = test["field"].partition(".")
    operator, value = test["op"], test.get("value", True)
    if operator == "exists":
        return ConditionRow(field, key, operator if value else MISSING, "")
    if isinstance(value, dict):
        value = value["days_ago"]
    texts = value if isinstance(value, list) else [value]
    shown = [each if isinstance(each, str) else json.dumps(each) for each in texts]
    return ConditionRow(field, key, operator, ", ".join(shown))


def _any(rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return rules[0] if len(rules) == 1 else {"any": list(rules)}


def _rule(row: AudienceRow) -> dict[str, Any]:
    rule: dict[str, Any] = {"rule": row.kind}
    if row.kind == LISTED:
        rule["user_ids"] = [_identifier(each) for each in _SPACES.split(row.value) if each]
    elif row.kind in NAMED_KINDS:
        rule[NAMED_KINDS[row.kind]] = _identifier(row.value) if row.value else None
    return rule


def _identifier(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _test(row: ConditionRow) -> dict[str, Any]:
    place = f"{row.field}.{row.key}" if row.field == ATTRIBUTES and row.key else row.field
    if row.operator in ("exists", MISSING):
        return {"field": place, "op": "exists", "value": row.operator != MISSING}
    kind = FIELDS[row.field].kind if row.field in FIELDS else Kind.TEXT
    if row.operator in _SEVERAL:
        several = [each.strip() for each in row.value.split(",")]
        return {
            "field": place,
            "op": row.operator,
            "value": [_operand(each, kind) for each in several],
        }
    return {"field": place, "op": row.operator, "value": _operand(row.value, kind)}


def _operand(text: str, kind: Kind) -> Any:
    """Returns the value that a text means for a field: a number for a time is days ago."""
    if kind is Kind.MEMBERSHIP:
        return _identifier(text)
    if kind is Kind.MOMENT:
        days = _identifier(text)
        return {"days_ago": days} if isinstance(days, int) else text
    return _scalar(text) if kind is Kind.ATTRIBUTE else text


def _scalar(text: str) -> Any:
    """Returns a number, true or false where the text is one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def _read_text(text: str) -> dict[str, Any]:
    try:
        return read_json(text.encode())
    except CarillonError as error:
        raise _fault("invalid", error.detail) from error


def _fault(code: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError("audience", code, detail)])
