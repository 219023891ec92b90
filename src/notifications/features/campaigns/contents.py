"""What a campaign sends to whom: its template, its category, its audience, and its broadcasts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from directory.audiences import Audience, list_of, saved_criteria
from notifications.domain.callers import Caller
from notifications.domain.channels import Priority
from notifications.domain.errors import InvalidRequest
from notifications.engine.shared_rows import CategoryFacts, category_by_key, category_facts
from notifications.engine.shared_rows import category_keys as known_categories
from notifications.features.access.limits import check_category, check_category_keys
from notifications.features.access.service import require_scope
from notifications.features.audiences.service import read_audience
from notifications.features.campaigns.variants.plan import variant_paths
from notifications.features.sending.intents import (
    check_channels,
    missing_variables_error,
    template_among,
)
from notifications.features.templates.rows import published_versions
from notifications.infra import clock
from notifications.intake.validate import unknown_category
from notifications.models import Broadcast, Campaign, NotificationTemplate
from notifications.rendering.paths import candidates
from notifications.rendering.personalization import service_context
from notifications.rendering.versions import version_of

DEFAULT_CATEGORY = "marketing"


@dataclass(frozen=True, slots=True)
class CampaignContent:
    """The published template of a campaign, and the category of its messages."""

    template: NotificationTemplate
    category: CategoryFacts
    #: The published templates of the variants of its A/B test, in their order.
    variants: tuple[NotificationTemplate, ...] = ()

    @property
    def version_id(self) -> int | None:
        """The published version."""
        return self.template.current_version_id


def content_of(campaign: Campaign) -> CampaignContent:
    """Returns what the messages of a campaign say, at this moment.

    Raises:
        InvalidRequest: unknown_template, channel_not_in_template, missing_variable,
            unknown_category.
    """
    template = _sendable_template(campaign, campaign.template_path)
    variants = _variant_templates(campaign)
    return CampaignContent(template, _category(campaign, template), variants)


def _sendable_template(campaign: Campaign, path: str) -> NotificationTemplate:
    """Returns the published template at a path, if all messages of a campaign may show it."""
    template = _template_at(path)
    check_channels(template, tuple(campaign.channels), field="channels")
    version = version_of(template.current_version_id)
    given = {**campaign.context, **service_context(at=clock.now())}
    missing = version.missing_variables(given)
    if missing:
        raise InvalidRequest([missing_variables_error(template.path, missing)])
    return template


def _variant_templates(campaign: Campaign) -> tuple[NotificationTemplate, ...]:
    """Returns the templates of the variants. Each must be sendable wherever the others are.

    Raises:
        InvalidRequest: with every error, at the variant's `template_path`.
    """
    found, errors = [], []
    for place, path in enumerate(variant_paths(campaign)):
        try:
            found.append(_sendable_template(campaign, path))
        except InvalidRequest as error:
            field = f"ab_test.variants[{place}].template_path"
            errors += [replace(each, path=field) for each in error.errors]
    if errors:
        raise InvalidRequest(errors)
    return tuple(found)


def _template_at(path: str) -> NotificationTemplate:
    rows = NotificationTemplate.objects.filter(path__in=candidates(path))
    return template_among(path, {row.path: row for row in rows})


def template_versions(campaign: Campaign) -> list[tuple[int, int | None]]:
    """Returns the id and the published version of each template that a campaign may show."""
    named = (campaign.template_path, *variant_paths(campaign))
    return published_versions(named)


def check_content_rights(row: Campaign, content: CampaignContent, caller: Caller) -> None:
    """Checks the rights to a campaign's categories, and to critical priority, which overtakes all.

    Raises:
        Refused: missing_scope, category_not_allowed.
    """
    check_category_keys(caller, [content.category.key])
    for template in (content.template, *content.variants):
        _check_template_category(template, caller)
    if row.priority == Priority.CRITICAL:
        require_scope(caller, "priority:critical")


def check_stored_categories(row: Campaign, caller: Caller) -> None:
    """Checks the right to the categories that a stored campaign and its template have now.

    Raises:
        Refused: category_not_allowed.
    """
    if caller.categories is None:
        return
    check_category_keys(caller, [row.category or content_of(row).category.key])
    for path in {row.template_path, *variant_paths(row)}:
        try:
            template = _template_at(path)
        except InvalidRequest:
            continue  # it is gone: a campaign that shows it can still be cancelled
        _check_template_category(template, caller)


def _check_template_category(template: NotificationTemplate, caller: Caller) -> None:
    if template.category_id is not None:  # a campaign may name another category for its template
        check_category(caller, template.category_id)


def _category(campaign: Campaign, template: NotificationTemplate) -> CategoryFacts:
    if not campaign.category and template.category_id:
        return category_facts(template.category_id)
    key = campaign.category or DEFAULT_CATEGORY
    found = category_by_key(key)
    if found is None:
        raise unknown_category(key, known_categories())
    return found


def audience_rule(campaign: Campaign) -> dict[str, Any]:
    """Returns the audience without the excluded segments, in the language of audiences."""
    if not campaign.exclude:
        return dict(campaign.audience)
    parts = [{"rule": "segment", "segment_id": key} for key in campaign.exclude]
    return {"from": campaign.audience, "except": {"any": parts}}


def resolve_audience(campaign: Campaign, *, now: datetime) -> Audience:
    """Returns the audience of a campaign at a moment; the holdout is a part of it.

    Raises:
        InvalidRequest: with every error.
    """
    fixed = campaign.segment_criteria  # none before it began: then the segments of now count
    if campaign.exclude:  # the errors of the rule alone have the paths that its author knows
        read_audience(campaign.audience, now=now, segments=fixed)
    return read_audience(audience_rule(campaign), now=now, segments=fixed)


def bound_values(campaign: Campaign, content: CampaignContent) -> dict[str, Any]:
    """Returns what an approval binds, by column: the version, the category, and the audience.

    The digest is of the audience, with the criteria of its segments, and of the A/B test, with the
    versions of its variants. They have been checked.
    """
    rule: list[Any] = [audience_rule(campaign), saved_criteria(audience_rule(campaign))]
    if campaign.ab_test:
        rule += [campaign.ab_test, [each.current_version_id for each in content.variants]]
    return {
        "approved_version_id": content.version_id,
        "approved_category": content.category.key,
        "approved_digest": sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest(),
    }


def broadcast_of(campaign: Campaign, audience: Audience, **values: Any) -> Broadcast:
    """Returns a broadcast that sends a campaign. It is not saved, and has no recipients yet.

    The campaign has begun, or `fix_content` has set what it says.
    """
    return Broadcast(
        campaign=campaign,
        created_by_id=campaign.created_by_id,
        involved_user_ids=campaign.involved_user_ids,
        target_group=Broadcast.TargetGroup.COMPOSED,
        target_filter=audience_rule(campaign),
        title=campaign.name,
        message=campaign.template_path,
        template_version_id=campaign.template_version_id,
        category=campaign.category,
        channels=campaign.channels,
        delivery=campaign.delivery,
        priority=campaign.priority,
        list_id=list_of(audience.rule),
        options=message_options(campaign),
        per_minute=campaign.per_minute,
        is_test=campaign.is_test,
        **values,
    )


def fix_content(campaign: Campaign) -> CampaignContent:
    """Sets the version and the category of a campaign as of now, without saving them.

    Raises:
        InvalidRequest: as `content_of`.
    """
    content = content_of(campaign)
    campaign.template_version_id = content.version_id
    campaign.category = content.category.key
    return content


def message_options(campaign: Campaign) -> dict[str, Any]:
    """Returns the options of each message: what is tracked, and parameters for links."""
    chosen = {"track_opens": campaign.track_opens, "track_clicks": campaign.track_clicks}
    options: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if campaign.utm:
        options["utm"] = dict(campaign.utm)
    return options
