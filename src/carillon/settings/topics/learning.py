"""The settings of learned send times and channels."""

from __future__ import annotations

from dataclasses import dataclass

from notifications.domain.settings import integer, one_of, setting


@dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """Whether the service learns when and where people engage, and from what."""

    # fmt: off
    learning: str = setting("off", one_of("off", "on"), "Whether the service counts, by person and channel, at which hours of the week people engage. Campaigns with `send_time` or `channel_choice` need it.")
    learning_from: str = setting("clicks", one_of("clicks", "opens"), "What counts as engagement for choices: `clicks` of people, or `opens` and clicks. Opens of mails are believed less.")
    learning_days: int = setting(168, integer(28, 728), "How many days the counts reach back, in whole periods of 28.")
    learning_minimum: int = setting(10, integer(1, 1000), "How many messages a person must have been handed over before a choice depends on the counts.")
    # fmt: on
