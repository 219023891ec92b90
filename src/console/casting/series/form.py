"""The form of a series: its fields as texts, as the body that the API takes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from console.casting.draft import CHOICES, LONGEST, choice_text, number_or_text
from console.casting.fields.values import decimal_or_text, read_values, values_text
from console.casting.series.stored import written_steps
from console.guard import Visit
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.series.lifecycle import MailSeriesStatus, SeriesTrigger
from notifications.domain.series.steps import MOST_STEPS, SeriesStep
from notifications.features.series.drafts import CHANGEABLE
from notifications.features.series.schemas import SeriesStepBody
from notifications.models import MailSeries

ROWS_AT_FIRST = 3
_MOST_READ = 100
"""Rows that are read. The service refuses those above its limit."""
_TEXTS: Mapping[str, str] = {
    "name": "",
    "description": "",
    "trigger_on": SeriesTrigger.EVENT.value,
    "list_id": "",
    "event": "",
    "attribute": "",
    "offset_days": "",
    "category": "",
    "context": "",
    "goal": "",
    "holdout_percent": "0",
    "reentry_days": "",
    "track_opens": "",
    "track_clicks": "",
    "needs_approval": "",
}
"""The fields with one text, and what a new form has."""


class StepRow(NamedTuple):
    """A mail, and the wait before it."""

    #: Where it stands among the others; rows are sorted by it.
    place: str = ""
    template_path: str = ""
    wait_days: str = ""
    wait_minutes: str = ""
    at: str = ""

    @property
    def is_written(self) -> bool:
        """Whether it says anything that a blank row does not."""
        return bool(self.template_path or self.wait_days or self.wait_minutes or self.at)

    @property
    def text(self) -> str:
        """The row in one line."""
        waits = f"{self.wait_days or 0} + {self.wait_minutes or 0}"
        return f"{self.template_path} ({waits} {self.at})".replace(" )", ")")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForm:
    """The fields of the form, as texts."""

    texts: Mapping[str, str]
    steps: Sequence[StepRow] = ()
    #: The steps as they were stored: what the form does not show of them stays.
    stored_steps: Sequence[Mapping[str, Any]] = ()

    def body(self) -> dict[str, Any]:
        """Returns the body that the service takes.

        Raises:
            InvalidRequest: a step names no template, or a field is not of its kind.
        """
        texts = self.texts
        days = texts["reentry_days"]
        return {
            "name": texts["name"],
            "description": texts["description"],
            "trigger": {
                "on": texts["trigger_on"],
                "list_id": number_or_text(texts["list_id"]) if texts["list_id"] else None,
                "event": texts["event"],
                "attribute": texts["attribute"],
                "offset_days": _signed(texts["offset_days"]),
            },
            "steps": self._steps(),
            "category": texts["category"] or None,
            "context": read_values(texts["context"], "context"),
            "goal": texts["goal"] or None,
            "holdout_percent": decimal_or_text(texts["holdout_percent"]),
            "reentry_days": number_or_text(days) if days else None,
            "track_opens": CHOICES.get(texts["track_opens"]),
            "track_clicks": CHOICES.get(texts["track_clicks"]),
            "needs_approval": bool(texts["needs_approval"]),
        }

    def changes(self, row: MailSeries) -> dict[str, Any]:
        """Returns the body of a change: of an open series, what may change. Raises as `body`."""
        given = self.body()
        if row.status == MailSeriesStatus.DRAFT:
            return given
        return {name: value for name, value in given.items() if name in CHANGEABLE}

    def _steps(self) -> list[dict[str, Any]]:
        errors = []
        found = []
        for place, step in enumerate(self.steps):
            if not step.template_path:
                detail = _("choose the template of the mail, or empty its row")
                errors.append(FieldError(f"steps[{place}].template_path", "required", detail))
            given = {
                "template_path": step.template_path,
                "wait_days": number_or_text(step.wait_days or "0"),
                "wait_minutes": number_or_text(step.wait_minutes or "0"),
                "at": step.at or None,
            }
            found.append({**self._unshown(place, step), **given})
        if errors:
            raise InvalidRequest(errors)
        return found

    def _unshown(self, place: int, step: StepRow) -> Mapping[str, Any]:
        """Returns the step that was stored at a place, where it sent the same template."""
        before = self.stored_steps[place] if place < len(self.stored_steps) else {}
        return before if before.get("template_path") == step.template_path else {}

    def with_blank_steps(self) -> list[StepRow]:
        """Returns the steps with a row to be filled, numbered."""
        count = min(MOST_STEPS, max(ROWS_AT_FIRST, len(self.steps) + 1))
        rows = [*self.steps, *[StepRow()] * (count - len(self.steps))]
        return [row._replace(place=str(place)) for place, row in enumerate(rows, 1)]

    def shown(self) -> dict[str, str]:
        """Returns each field as one text."""
        return {**self.texts, "steps": ", ".join(row.text for row in self.steps)}


def _signed(text: str) -> int | str:
    """Returns the whole number that a text is, 0 for none, else the text."""
    if text.startswith("-") and isinstance(days := number_or_text(text[1:]), int):
        return -days
    return number_or_text(text or "0")


def new_series_form() -> SeriesForm:
    """Returns the form of a series that is not written yet."""
    return SeriesForm(texts=dict(_TEXTS))


def read_series_form(visit: Visit, row: MailSeries | None) -> SeriesForm:
    """Returns what the visitor wrote. row: the series that is changed; None for a new one.

    An open series is shown without the fields that cannot change any more.
    """
    form = visit.request.POST
    columns = [form.getlist(f"step_{name}")[:_MOST_READ] for name in StepRow._fields]
    rows = [StepRow(*(each.strip() for each in row)) for row in zip(*columns)]  # noqa: B905 -- a form that lacks fields has fewer rows
    stored = form_of_series(visit, row) if row else new_series_form()
    names = _TEXTS if row is None or row.status == MailSeriesStatus.DRAFT else CHANGEABLE
    given = {name: visit.given(name, longest=LONGEST) for name in _TEXTS if name in names}
    return SeriesForm(
        texts={**stored.texts, **given},
        steps=sorted((each for each in rows if each.is_written), key=_place),
        stored_steps=stored.stored_steps,
    )


def _place(row: StepRow) -> float:
    """Returns where a row stands; behind the others where it does not say."""
    place = decimal_or_text(row.place)
    return place if isinstance(place, float) and isfinite(place) else inf


def form_of_series(_visit: Visit, row: MailSeries) -> SeriesForm:
    """Returns the form that says what a series is. Makes one query."""
    same = ("name", "description", "event", "attribute", "category")
    texts = {
        **_TEXTS,
        **{name: getattr(row, name) for name in same},
        "trigger_on": row.trigger,
        "list_id": str(row.list_id or ""),
        "offset_days": str(row.offset_days or ""),
        "context": values_text(row.context),
        "goal": row.goal.name if row.goal else "",
        "holdout_percent": f"{row.holdout_percent:g}",
        "reentry_days": str(row.reentry_days or ""),
        "track_opens": choice_text(row.track_opens),
        "track_clicks": choice_text(row.track_clicks),
        "needs_approval": "yes" if row.needs_approval else "",
    }
    steps = written_steps(row)
    return SeriesForm(
        texts=texts,
        steps=[_row_of(step) for step in steps],
        stored_steps=[_body_of(step) for step in steps],
    )


def _row_of(step: SeriesStep) -> StepRow:
    return StepRow(
        template_path=step.template_path,
        wait_days=str(step.wait_days or ""),
        wait_minutes=str(step.wait_minutes or ""),
        at=step.at.isoformat("minutes") if step.at else "",
    )


def _body_of(step: SeriesStep) -> dict[str, Any]:
    """Returns a step as the API takes it."""
    names = SeriesStepBody.__struct_fields__
    return {name: value for name, value in step.stored().items() if name in names}


def series_beside(typed: SeriesForm, stored: SeriesForm) -> list[tuple[str, str]]:
    """Returns the fields that are stored otherwise than typed, with what is stored."""
    before = typed.shown()
    return [(name, value) for name, value in stored.shown().items() if value != before[name]]
