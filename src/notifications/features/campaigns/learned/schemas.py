"""What a report says of the learned hours and channels of a campaign."""

from __future__ import annotations

import msgspec

from notifications.features.learning.schemas import LearningEffect


class CampaignLearning(msgspec.Struct, kw_only=True):
    """What learning did to a campaign."""

    send_time: LearningEffect | None
    """The effect of learned hours; null where hours are not learned."""

    channel_choice: LearningEffect | None
    """The effect of learned channels; null where channels are not learned."""
