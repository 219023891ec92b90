"""What a recipient's row stores of a choice, so that `explain` says later what was known then."""

from __future__ import annotations

import msgspec

from notifications.domain.learning.choice import ChannelChoice, LearningPlace, TimeChoice
from notifications.domain.learning.model import Posterior


class StoredPosterior(msgspec.Struct, array_like=True, frozen=True):
    """Messages of a person, those engaged with, and the means before and after they count."""

    handed: int
    succeeded: int
    prior: float
    mean: float


class StoredHour(msgspec.Struct, array_like=True, frozen=True):
    """A choice of an hour."""

    place: LearningPlace
    hour: int
    evidence: StoredPosterior
    first_hour: int
    first_mean: float
    known: int


class StoredChannels(msgspec.Struct, array_like=True, frozen=True):
    """A choice of an order of channels, with the evidence for each."""

    place: LearningPlace
    channels: tuple[str, ...]
    evidence: tuple[StoredPosterior, ...]


class StoredChoice(msgspec.Struct, array_like=True, frozen=True):
    """What was chosen for a recipient; None for what was not."""

    time: StoredHour | None = None
    channels: StoredChannels | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredChoice).decode


def stored_choice(time: TimeChoice | None, channels: ChannelChoice | None) -> str:
    """Returns choices as a row stores them."""
    return _encode(
        StoredChoice(
            StoredHour(
                time.place,
                time.hour,
                _evidence(time.evidence),
                time.first_hour,
                round(time.first_mean, 4),
                time.known,
            )
            if time
            else None,
            StoredChannels(
                channels.place, channels.channels, tuple(map(_evidence, channels.evidence))
            )
            if channels
            else None,
        )
    ).decode()


def read_choice(text: str) -> StoredChoice:
    """Returns what `stored_choice` stored."""
    return _decode(text)


def _evidence(found: Posterior) -> StoredPosterior:
    return StoredPosterior(
        found.handed, found.succeeded, round(found.prior, 4), round(found.mean, 4)
    )
