"""Chooses which channel of a single send is tried first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.learning.choice import LearningRule, choose_channels
from notifications.domain.learning.labels import learning_label
from notifications.features.learning.loading import LearnedModels
from notifications.features.learning.stored import stored_choice
from notifications.infra.conf import environment
from notifications.intake.accept import AssignedVariant
from notifications.intake.request import Terms
from notifications.models.learning.hand_over import is_learning

OPTION = "channel_choice"
STORED = "learned"
"""The option of a notification that says why its first channel comes first."""
SUBJECT = "send"
HOLDOUT_PERCENT = 10.0


def with_learned_channels(
    terms: Terms,
    user_id: int | None,
    *,
    supports: Callable[[str], bool],
    is_tested: Callable[[], bool],
) -> tuple[Terms, AssignedVariant | None]:
    """Returns the terms of a send, with the channel first on which the person engages most.

    Terms that do not ask for it stay as they are, and neither function is called. Channels without
    a text come last. Who is in the holdout is the same for all sends. supports: whether the
    template has a text for a channel. is_tested: whether it has an A/B test in force.

    Raises:
        InvalidRequest: nothing is learned here, the send is to an address, or the template is
            tested: the test would lose the person.
    """
    if terms.options.get(OPTION) is None:
        return terms, None
    if not is_learning():
        raise _error("nothing is learned here: set CARILLON_LEARNING=on, or leave it out")
    if user_id is None or len(terms.channels) != 1:
        raise _error("needs one user, one channel, and the other channels in fallback")
    if is_tested():
        raise _error("cannot be chosen while the template has an A/B test: leave it out, or end it")
    given = [*terms.channels, *terms.options.get("fallback", ())]
    shown = [channel for channel in given if supports(channel)]
    if len(shown) < 2:
        return terms, None
    models = LearnedModels([user_id], shown)
    rule = LearningRule(SUBJECT, HOLDOUT_PERCENT, environment().learning_minimum)
    of_channels = {channel: models.of(user_id, channel) for channel in shown}
    found = choose_channels(rule, of_channels, user_id, shown)
    order = [*found.channels, *_without(given, shown)]
    options = {**terms.options, "fallback": order[1:], STORED: stored_choice(None, found)}
    label = learning_label(SUBJECT, None, found.place)
    assigned = AssignedVariant(None, label) if label else None
    return replace(terms, channels=(order[0],), options=options), assigned


def _without(given: Sequence[str], shown: Sequence[str]) -> list[str]:
    return [channel for channel in given if channel not in shown]


def _error(detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError(f"options.{OPTION}", "invalid", detail)])
