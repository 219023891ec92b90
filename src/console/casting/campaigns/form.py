"""The form of a campaign: its fields as texts, as the body that the API takes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from console.casting.draft import (
    CHOICES,
    LONGEST,
    choice_text,
    local_text,
    moment_of,
    number_or_text,
)
from console.casting.fields.audience import AudienceForm, form_of_audience, read_audience_form
from console.casting.fields.values import decimal_or_text, read_values, values_text
from console.guard import Visit
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.models import Campaign

MOST_VARIANTS = 10
_TEXTS: Mapping[str, str] = {
    "name": "",
    "description": "",
    "template_path": "",
    "context": "",
    "category": "",
    "delivery": "all",
    "priority": "3",
    "scheduled_at": "",
    "late_zones": "send_now",
    "per_minute": "",
    "holdout_percent": "0",
    "utm": "",
    "test_percent": "20",
    "decide": "evidence",
    "deadline_hours": "24",
    "window_hours": "4",
    "test_channel": "email",
    "metric": "click_rate",
    "goal": "",
    "minimum_sample_size": "100",
}
"""The fields with one text, and what a new form has."""
_OF_TEST = ("test_percent", "deadline_hours", "window_hours", "minimum_sample_size")


class VariantRow(NamedTuple):
    """One text of the test."""

    name: str = ""
    template_path: str = ""
    weight: str = "1"

    @property
    def is_written(self) -> bool:
        """Whether it says anything that a blank row does not."""
        return bool(self.name or self.template_path) or self.weight not in ("", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignForm:
    """The fields of the form, as texts."""

    audience: AudienceForm
    texts: Mapping[str, str]
    channels: Sequence[str]
    variants: Sequence[VariantRow] = ()
    per_timezone: bool = False
    needs_approval: bool = False
    track_opens: str = ""
    track_clicks: str = ""
    #: The test as it was stored: what the form does not show stays.
    stored_test: Mapping[str, Any] | None = None

    def body(self, visit: Visit) -> dict[str, Any]:
        """Returns the body that the service takes.

        Raises:
            InvalidRequest: no one is named, or a field is not of its kind.
        """
        texts = self.texts
        return {
            "name": texts["name"],
            "description": texts["description"],
            "audience": self.audience.audience(),
            "template_path": texts["template_path"],
            "context": read_values(texts["context"], "context"),
            "category": texts["category"] or None,
            "channels": list(self.channels),
            "delivery": texts["delivery"],
            "priority": number_or_text(texts["priority"]),
            "scheduled_at": self._moment(visit),
            "per_timezone": self.per_timezone,
            "late_zones": texts["late_zones"],
            "per_minute": number_or_text(texts["per_minute"]) if texts["per_minute"] else None,
            "holdout_percent": decimal_or_text(texts["holdout_percent"]),
            "ab_test": self._test(),
            "track_opens": CHOICES.get(self.track_opens),
            "track_clicks": CHOICES.get(self.track_clicks),
            "utm": read_values(texts["utm"], "utm"),
            "needs_approval": self.needs_approval,
        }

    def changes(self, given: Mapping[str, Any], visit: Visit, row: Campaign) -> dict[str, Any]:
        """Returns the body of a change: without the audience and the times that stay as stored.

        The form shows minutes: a time that is not changed keeps its seconds. given: the body.
        """
        stays: set[str] = set()
        if given["audience"] == row.audience:
            stays.add("audience")
        written = self.texts["scheduled_at"], self.per_timezone
        if written == (_time_text(visit, row), bool(row.local_time)):
            stays.update(("scheduled_at", "per_timezone"))
        return {name: value for name, value in given.items() if name not in stays}

    def _moment(self, visit: Visit) -> str | None:
        """Returns when it begins: with `per_timezone`, on the clock of each person."""
        written = self.texts["scheduled_at"]
        if self.per_timezone:
            return f"{written}:00" if written.count(":") == 1 else written or None
        return moment_of(visit, written)

    def _test(self) -> dict[str, Any] | None:
        if not self.variants:
            return None
        texts = self.texts
        if not all(row.name for row in self.variants):
            detail = _("give each variant a name, or empty its row")
            raise InvalidRequest([FieldError("ab_test.variants", "incomplete", detail)])
        return {
            **(self.stored_test or {}),
            "variants": [
                {
                    "name": row.name,
                    "template_path": row.template_path,
                    "weight": number_or_text(row.weight),
                }
                for row in self.variants
            ],
            **{name: number_or_text(texts[name]) for name in _OF_TEST},
            "decide": texts["decide"],
            "channel": texts["test_channel"],
            "metric": texts["metric"],
            "goal": texts["goal"] or None,
        }

    def with_blank_variant(self) -> list[VariantRow]:
        """Returns the variants with a row to be filled."""
        if len(self.variants) >= MOST_VARIANTS:
            return list(self.variants)
        return [*self.variants, VariantRow()]


def new_campaign_form() -> CampaignForm:
    """Returns the form of a campaign that is not written yet."""
    return CampaignForm(audience=AudienceForm(), texts=dict(_TEXTS), channels=("email",))


def read_campaign_form(visit: Visit, row: Campaign | None) -> CampaignForm:
    """Returns what the visitor wrote. row: the campaign that is changed; None for a new one."""
    form = visit.request.POST
    names, paths, weights = (form.getlist(f"variant_{name}") for name in VariantRow._fields)
    rows = [VariantRow(*(each.strip() for each in row)) for row in zip(names, paths, weights)]  # noqa: B905 -- a form that lacks fields has fewer rows
    return CampaignForm(
        audience=read_audience_form(form),
        texts={name: visit.given(name, longest=LONGEST) for name in _TEXTS},
        channels=tuple(form.getlist("channels")[:20]),
        variants=[each for each in rows if each.is_written],
        per_timezone=bool(visit.given("per_timezone")),
        needs_approval=bool(visit.given("needs_approval")),
        track_opens=visit.given("track_opens"),
        track_clicks=visit.given("track_clicks"),
        stored_test=row.ab_test if row else None,
    )


def form_of_campaign(visit: Visit, row: Campaign) -> CampaignForm:
    """Returns the form that says what a campaign is."""
    same = ("name", "description", "template_path", "category", "delivery", "late_zones")
    texts = {
        **_TEXTS,
        **{name: getattr(row, name) for name in same},
        "context": values_text(row.context),
        "priority": str(row.priority),
        "scheduled_at": _time_text(visit, row),
        "per_minute": str(row.per_minute or ""),
        "holdout_percent": f"{row.holdout_percent:g}",
        "utm": values_text(row.utm),
    }
    found = CampaignForm(
        audience=form_of_audience(row.audience),
        texts=texts,
        channels=tuple(row.channels),
        per_timezone=bool(row.local_time),
        needs_approval=row.needs_approval,
        track_opens=choice_text(row.track_opens),
        track_clicks=choice_text(row.track_clicks),
    )
    return _with_test(found, row.ab_test) if row.ab_test else found


def _time_text(visit: Visit, row: Campaign) -> str:
    return row.local_time[:16] or local_text(visit, row.scheduled_at)


def _with_test(form: CampaignForm, plan: Mapping[str, Any]) -> CampaignForm:
    shown = {name: str(plan.get(name, _TEXTS[name])) for name in (*_OF_TEST, "decide", "metric")}
    shown |= {"test_channel": plan.get("channel", "email"), "goal": plan.get("goal") or ""}
    variants = [
        VariantRow(each["name"], each.get("template_path", ""), str(each.get("weight", 1)))
        for each in plan["variants"]
    ]
    return replace(form, texts={**form.texts, **shown}, variants=variants, stored_test=plan)
