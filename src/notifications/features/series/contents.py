"""What the steps of a series send: their templates, their categories, and what mails share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from directory.models import SubscriberList
from notifications.domain.callers import Caller
from notifications.domain.channels import Channel, Priority
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.series.lifecycle import SeriesTrigger
from notifications.domain.series.steps import SeriesStep
from notifications.engine.shared_rows import CategoryFacts, category_by_key, category_facts
from notifications.engine.shared_rows import category_keys as known_categories
from notifications.features.access.limits import check_category, check_category_keys
from notifications.features.sending.intents import (
    check_channels,
    missing_variables_error,
    template_among,
)
from notifications.intake.accept import Intent
from notifications.intake.request import Terms
from notifications.intake.validate import unknown_category
from notifications.models import MailSeries, NotificationTemplate
from notifications.policy.options import LIST
from notifications.rendering.paths import candidates
from notifications.rendering.versions import version_of

DEFAULT_CATEGORY = "marketing"
CHANNELS = (Channel.EMAIL.value,)
_GIVEN: dict[str, Any] = {"user": {}, "current_time": "", "app_name": "", "app_url": ""}
"""The variables of every template that the service gives."""


@dataclass(frozen=True, slots=True)
class StepContent:
    """The published template of a step, and the category of its mails."""

    template: NotificationTemplate
    category: CategoryFacts


def check_steps(
    series: MailSeries, steps: Sequence[SeriesStep], *, first: int = 0
) -> list[StepContent]:
    """Returns what each step sends at this moment, from the place `first`.

    Raises:
        InvalidRequest: with every error: unknown_template, channel_not_in_template,
            missing_variable, unknown_category, unknown_list.
    """
    errors = _list_errors(series)
    found = []
    for place, step in enumerate(steps[first:], first):
        try:
            found.append(content_of(series, step))
        except InvalidRequest as error:
            errors += [_in_step(each, place) for each in error.errors]
    if errors:
        raise InvalidRequest(list(dict.fromkeys(errors)))
    return found


def check_versions(
    series: MailSeries, versions: Iterable[tuple[Sequence[SeriesStep], int]]
) -> list[StepContent]:
    """Returns what the steps of several versions send, each from a place.

    Raises:
        InvalidRequest: as `check_steps`, with the errors of all versions.
    """
    errors: list[FieldError] = []
    found = []
    for steps, first in versions:
        try:
            found += check_steps(series, steps, first=first)
        except InvalidRequest as error:
            errors += error.errors
    if errors:
        raise InvalidRequest(list(dict.fromkeys(errors)))
    return found


def check_list(series: MailSeries) -> None:
    """Checks that the list of a series exists: without it, all people would leave the series.

    Raises:
        InvalidRequest: unknown_list.
    """
    errors = _list_errors(series)
    if errors:
        raise InvalidRequest(errors)


def _list_errors(series: MailSeries) -> list[FieldError]:
    key = series.list_id
    if series.trigger != SeriesTrigger.LIST or key is None:
        return []
    if SubscriberList.objects.filter(pk=key).exists():
        return []
    detail = f"there is no list {key} any more"
    return [FieldError("trigger.list_id", "unknown_list", detail)]


def _in_step(error: FieldError, place: int) -> FieldError:
    if error.path in ("category", "context"):
        return error
    return FieldError(f"steps[{place}].template_path", error.code, error.detail)


def content_of(series: MailSeries, step: SeriesStep) -> StepContent:
    """Returns what a step sends at this moment.

    Raises:
        InvalidRequest: as `check_steps`.
    """
    path = step.template_path
    rows = NotificationTemplate.objects.filter(path__in=candidates(path))
    template = template_among(path, {row.path: row for row in rows})
    check_channels(template, CHANNELS)
    version = version_of(template.current_version_id)
    missing = version.missing_variables({**series.context, **_GIVEN})
    if missing:
        raise InvalidRequest([missing_variables_error(template.path, missing)])
    return StepContent(template, _category(series, template))


def _category(series: MailSeries, template: NotificationTemplate) -> CategoryFacts:
    if not series.category and template.category_id:
        return category_facts(template.category_id)
    key = series.category or DEFAULT_CATEGORY
    found = category_by_key(key)
    if found is None:
        raise unknown_category(key, known_categories())
    return found


def check_content_rights(contents: Sequence[StepContent], caller: Caller) -> None:
    """Checks the rights to the categories of a series and of its templates.

    Raises:
        Refused: category_not_allowed.
    """
    check_category_keys(caller, {content.category.key for content in contents})
    for content in contents:
        if content.template.category_id is not None:
            check_category(caller, content.template.category_id)


def check_stored_rights(series: MailSeries, steps: Iterable[SeriesStep], caller: Caller) -> None:
    """Checks the rights to the categories that a stored series and its templates have now.

    A template that cannot be sent any more counts, too; one that is gone does not.

    Raises:
        Refused: category_not_allowed.
    """
    if caller.categories is None:
        return
    if series.category:
        check_category_keys(caller, [series.category])
    for path in sorted({step.template_path for step in steps}):
        template = _known_template(path)
        if template is None:
            continue  # a series that shows it can still be ended
        if template.category_id is not None:
            check_category(caller, template.category_id)
        elif not series.category:
            check_category_keys(caller, [DEFAULT_CATEGORY])


def _known_template(path: str) -> NotificationTemplate | None:
    """Returns the template that is sent, else the one at the path; None where there is none."""
    rows = NotificationTemplate.objects.filter(path__in=candidates(path))
    found = {row.path: row for row in rows}
    try:
        return template_among(path, found)
    except InvalidRequest:
        return found.get(path)


def build_step_intent(series: MailSeries, step: SeriesStep, content: StepContent) -> Intent:
    """Returns what all mails of a step have in common, in the published version of its template."""
    return Intent(
        terms=Terms(
            template_path=step.template_path,
            channels=CHANNELS,
            options=_options(series),
            priority=int(Priority.MEDIUM),
            category=content.category.key,
            context=dict(series.context),
            scheduled_at=None,
            expires_at=None,
            collapse_key=None,
            ordering_key=None,
        ),
        priority=Priority.MEDIUM,
        category_id=content.category.id,
        category_key=content.category.key,
        template_version_id=content.template.current_version_id,
        source=series.source,
        mass=True,
        is_test=series.is_test,
    )


def _options(series: MailSeries) -> dict[str, Any]:
    """Returns the options of each mail: what is tracked, and the list whose members alone get it.

    With a list, the link of the mail leaves the list.
    """
    chosen = {"track_opens": series.track_opens, "track_clicks": series.track_clicks}
    options: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if series.trigger == SeriesTrigger.LIST and series.list_id is not None:
        options[LIST] = series.list_id
    return options
