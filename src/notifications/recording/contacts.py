"""Closes contact points that a provider reported dead, in the transaction of the record."""

from __future__ import annotations

from collections.abc import Iterable

from directory.models import ContactPoint, Device, Suppression, normalise_address
from notifications.domain.channels import CONTACT_KIND_OF_CHANNEL, Channel
from notifications.recording.outcomes import Outcome

_BY_PERSON = frozenset({"unsubscribed", "blocked", "complained"})
_EXPIRING = frozenset({Channel.TELEGRAM, Channel.WEBHOOK, Channel.CHAT})


def close_dead_contacts(outcomes: Iterable[Outcome]) -> None:
    """Expires devices and closes addresses that these outcomes report dead."""
    for outcome in outcomes:
        result = outcome.result
        if result is None:
            continue
        dead = [part.target.device_id for part in result.parts if part.result.recipient_dead]
        if dead:
            Device.objects.expire(dead, at=outcome.at)
        if result.recipient_dead and outcome.outbound is not None and not result.parts:
            close_contact(
                channel=outcome.message.channel,
                user_id=outcome.message.user_id,
                address=outcome.outbound.recipient,
                code=result.error_code,
                reason=f"{outcome.provider}: {result.error or result.error_code}",
            )


def close_contact(
    *, channel: str, user_id: int | None, address: str, code: str, reason: str
) -> None:
    """Closes one address. An address that is no user's goes to the suppression list.

    Addresses of the simulator are not listed, so that they can be used again.
    """
    kind = CONTACT_KIND_OF_CHANNEL[Channel(channel)]
    address = normalise_address(kind, address)
    if user_id is None:
        if "simulator.carillon" in address:
            return
        Suppression.objects.get_or_create(
            kind=kind, address=address, defaults={"reason": reason[:200], "source": "provider"}
        )
        return
    ContactPoint.objects.close(
        user_id=user_id,
        kind=kind,
        address=address,
        state=dead_state(channel, code),
        reason=reason[:200],
    )


def dead_state(channel: str, code: str) -> str:
    """Returns the state of a contact point that is dead for this reason."""
    if code in _BY_PERSON:
        return ContactPoint.State.UNSUBSCRIBED
    if channel in _EXPIRING:
        return ContactPoint.State.EXPIRED
    return ContactPoint.State.BOUNCED
