"""Checks what a campaign says of learned hours and channels."""

from __future__ import annotations

from notifications.domain.errors import FieldError
from notifications.models import Broadcast, Campaign
from notifications.models.learning.hand_over import is_learning


def check_learned(row: Campaign) -> list[FieldError]:
    """Returns what is wrong with the learned hours and channels of a campaign."""
    errors = []
    named = [name for name in ("send_time", "channel_choice") if getattr(row, name)]
    if named and not is_learning():
        detail = "nothing is learned here: set CARILLON_LEARNING=on, or leave it out"
        errors += [FieldError(name, "invalid", detail) for name in named]
    if named and row.ab_test:
        detail = "cannot be combined with ab_test: both would decide who gets what. Leave one out"
        errors.append(FieldError(named[0], "invalid", detail))
    if row.channel_choice and len(row.channels) < 2:
        errors.append(FieldError("channel_choice", "invalid", "needs two or more channels"))
    elif row.channel_choice and row.delivery != Broadcast.Delivery.FIRST:
        detail = "needs delivery `first`: with `all`, every channel gets the message anyway"
        errors.append(FieldError("channel_choice", "invalid", detail))
    if row.send_time and len(row.channels) > 1 and row.delivery != Broadcast.Delivery.FIRST:
        detail = "needs delivery `first` or one channel: an hour is learned of one channel alone"
        errors.append(FieldError("send_time", "invalid", detail))
    return errors
