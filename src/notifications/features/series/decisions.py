"""Decides which people leave a series before their next mail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from notifications.domain.channels import Channel
from notifications.domain.series.lifecycle import ExitReason
from notifications.engine.prepare import facts_of, terms_of
from notifications.features.sending.refusal import draft_of
from notifications.intake.accept import Intent, SendTarget
from notifications.models import Conversion, MailSeries, SeriesEnrollment
from notifications.policy.decide import Suppress, decide
from notifications.policy.facts import load_facts
from notifications.rendering.versions import version_of

_REASONS = {"user_inactive": ExitReason.INACTIVE, "address_suppressed": ExitReason.BLOCKED}


def exits_by_goal(series: MailSeries, people: Sequence[SeriesEnrollment]) -> dict[int, ExitReason]:
    """Returns those who reached the goal since their trigger, by the id of their row.

    An event may be reported later than it happened, after the one that the goal names. Where the
    goal names the trigger itself, a later event of that name is needed.
    """
    if series.goal_id is None or not people:
        return {}
    entered = {row.user_id: row for row in people}
    rows = Conversion.objects.filter(
        goal_id=series.goal_id,
        user_id__in=list(entered),
        occurred_at__gte=min(row.goal_counts_from for row in people),
    )
    return {
        entered[user_id].pk: ExitReason.GOAL_REACHED
        for user_id, at in rows.values_list("user_id", "occurred_at")
        if at > entered[user_id].goal_counts_from
        or (at == entered[user_id].goal_counts_from and not series.goal_is_trigger)
    }


def exits_by_choice(
    intent: Intent, people: Sequence[SeriesEnrollment], *, now: datetime
) -> dict[int, ExitReason]:
    """Returns those to whom the mail of an intent may not be sent any more, by the id of their row.

    It is the decision of the delivery itself, so both agree on lists, consent and preferences.
    Who only waits, for quiet hours or a frequency cap, or has no address yet, stays.
    """
    if not people:
        return {}
    draft = draft_of(intent, SendTarget(0, (Channel.EMAIL,)), Channel.EMAIL)
    drafts = [
        draft._replace(id=-1 - place, user_id=row.user_id) for place, row in enumerate(people)
    ]
    facts = load_facts(drafts, Channel.EMAIL, terms_of)
    version = version_of(intent.template_version_id)
    found: dict[int, ExitReason] = {}
    for row, each in zip(people, drafts, strict=True):
        decision = decide(facts_of(each, facts, version, at=now))
        if not isinstance(decision, Suppress):
            continue
        reason = _REASONS.get(decision.reason)
        if reason is None and decision.opted_out:
            reason = ExitReason.UNSUBSCRIBED
        if reason is not None:
            found[row.pk] = reason
    return found
