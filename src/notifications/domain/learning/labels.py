"""How a notification names its learned choice: the value of its column `variant`.

`learn:12:l-` is of campaign 12: the time was learned, the channels were as given. So the counts by
variant tell the learned from the holdout.
"""

from __future__ import annotations

from itertools import product

from notifications.domain.learning.choice import LearningPlace

PREFIX = "learn:"
_LETTERS: dict[LearningPlace | None, str] = {
    LearningPlace.LEARNED: "l",
    LearningPlace.HOLDOUT: "h",
    LearningPlace.START: "s",
    None: "-",
}


def learning_label(
    subject: str, time: LearningPlace | None, channel: LearningPlace | None
) -> str | None:
    """Returns the label of a choice; None where nothing was chosen.

    subject: the number of a campaign, or `send`.
    """
    if time is None and channel is None:
        return None
    return f"{PREFIX}{subject}:{_LETTERS[time]}{_LETTERS[channel]}"


def labels_with(
    subject: str, *, time: LearningPlace | None = None, channel: LearningPlace | None = None
) -> list[str]:
    """Returns all labels of a subject with this place in time, or with this place of channels."""
    times = [time] if time else list(_LETTERS)
    channels = [channel] if channel else list(_LETTERS)
    found = (learning_label(subject, *pair) for pair in product(times, channels))
    return [label for label in found if label is not None]
