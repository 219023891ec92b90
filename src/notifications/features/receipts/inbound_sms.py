"""InboundSmsService: incoming SMS; STOP and START take effect at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec
import structlog
from django.db import transaction

from directory.keys import load_keys_of_people
from directory.models import AddressKey, ContactPoint, Suppression, normalise_address
from notifications.delivery.callbacks.base import CallbackUnreadable, IncomingCall
from notifications.delivery.callbacks.inbound import InboundText
from notifications.delivery.registry import INBOUND, inbound_reader
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.sms import Keyword, keyword_of, read_keywords
from notifications.engine.shared_rows import refresh_accounts
from notifications.features.access.service import check_operator
from notifications.features.preferences.consents import write_entry
from notifications.infra.conf import environment
from notifications.infra.crypto import seal_json
from notifications.infra.field_types import choice
from notifications.models import InboundSender, InboundSms
from notifications.models.fields import EMPTIED
from vault.cells import Key

log = structlog.get_logger("carillon.sms")

SOURCE = "sms_stop"
REASON = "STOP by SMS"
PURPOSE = "channel:sms"
_PHONE = ContactPoint.Kind.PHONE


KeywordName = Annotated[str, choice("SmsKeyword", Keyword, "What the sender of an SMS asks for.")]


class InboundSmsResponse(msgspec.Struct, kw_only=True):
    """An SMS that a user sent to the service."""

    id: int
    """The integer id of the SMS. Example: `12`"""

    provider: str
    """The key of the provider that received it. Example: `twilio`"""

    provider_message_id: str
    """The vendor's id of the SMS. Example: `SM0123456789abcdef`"""

    keyword: KeywordName

    sender: str
    """The phone number of the sender in E.164. Example: `"+4915112345678"`"""

    text: str
    """The text of the SMS. Example: `STOP`"""

    users: list[int]
    """The integer ids of the users with this phone number. Example: `[42]`"""

    received_at: datetime
    """When it arrived (RFC 3339)."""


class InboundReply(NamedTuple):
    """The response to a vendor that forwarded a text."""

    body: bytes
    content_type: str


class InboundSmsService:
    """Receives incoming texts and lists them."""

    def list(
        self, *, caller: Caller, keyword: str = "", after: int = 0, limit: int = 50
    ) -> list[InboundSmsResponse]:
        """Returns texts by key, the oldest first."""
        check_operator(caller)
        rows = InboundSms.objects.filter(pk__gt=after).order_by("pk")
        if keyword:
            rows = rows.filter(keyword=keyword)
        return [_response_of(row) for row in rows[:limit]]

    def receive(
        self,
        *,
        provider: str,
        method: str,
        url: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
    ) -> InboundReply:
        """Stores a text that a vendor forwards, once, and applies its keyword.

        Raises:
            NotFound: unknown_provider.
            CallbackRefused: the call is not the vendor's.
            InvalidRequest: the call contains no incoming text.
        """
        if provider not in INBOUND:
            known = ", ".join(INBOUND)
            raise NotFound(
                f"{provider!r} forwards no texts; known: {known}", code="unknown_provider"
            )
        refresh_accounts()
        reader = inbound_reader(provider)
        try:
            found = reader.read(IncomingCall(method, url, query, headers, body))
        except CallbackUnreadable as error:
            raise InvalidRequest([FieldError("", "unreadable_callback", str(error))]) from error
        reply = self.apply(found, provider=provider, now=now)
        return InboundReply(reader.reply_of(reply), reader.content_type)

    def apply(self, found: InboundText, *, provider: str, now: datetime) -> str:
        """Applies a text in one transaction; returns the reply to its sender, or an empty text.

        The same text is applied once, so that a late duplicate reverts nothing.
        """
        own = read_keywords(environment().sms_keywords)
        keyword = found.hint or keyword_of(found.text, own)
        number = normalise_address(_PHONE, found.sender)
        with transaction.atomic():
            points = ContactPoint.objects.filter(kind=_PHONE, address=number)
            users = sorted(points.values_list("user_id", flat=True))
            content = {"from": number, "to": found.recipient, "text": found.text}
            key = key_of_sender(users, number)
            text, made = InboundSms.objects.get_or_create(
                provider=provider,
                provider_message_id=found.provider_message_id,
                defaults={
                    "keyword": keyword,
                    "content": EMPTIED if key is None else seal_json(content, key),
                    "key_id": key.id if key else None,
                    "users": users,
                    "received_at": now,
                },
            )
            if made:
                InboundSender.objects.bulk_create(
                    InboundSender(text=text, user_id=user_id) for user_id in users
                )
            if made and keyword in (Keyword.STOP, Keyword.START):
                granted = keyword is Keyword.START
                if granted:
                    _start(number, refused_code=inbound_reader(provider).stopped_code)
                else:
                    _stop(number)
                _write_ledger(users, granted=granted, wording=found.text, at=now)
        if made:
            log.info("sms.received", keyword=str(keyword), users=len(users))
        no_reply = found.hint is not None or keyword is not Keyword.HELP
        return "" if no_reply else environment().sms_help_text


def _response_of(row: InboundSms) -> InboundSmsResponse:
    content = row.content or {}  # emptied when its retention ended
    return InboundSmsResponse(
        id=row.pk,
        provider=row.provider,
        provider_message_id=row.provider_message_id,
        keyword=row.keyword,
        sender=content.get("from", ""),
        text=content.get("text", ""),
        users=row.users,
        received_at=row.received_at,
    )


def key_of_sender(users: Sequence[int], number: str) -> Key | None:
    """Returns the key for a text: of the only user with the number, else of the number.

    None where it was erased.
    """
    if len(users) == 1:
        return load_keys_of_people(users).get(users[0])
    return AddressKey.objects.for_sends([{_PHONE: number}])[0]


def _stop(number: str) -> None:
    """Suppresses the number, for its present and every later owner."""
    Suppression.objects.get_or_create(
        kind=_PHONE, address=number, defaults={"reason": REASON, "source": SOURCE}
    )
    ContactPoint.objects.close_all(kind=_PHONE, address=number, reason=REASON)


def _start(number: str, *, refused_code: str) -> None:
    """Reverts a STOP that we or the vendor applied; an operator's suppression remains.

    refused_code: the vendor's error code for a number that sent it STOP; empty if it has none.
    """
    listed = Suppression.objects.filter(kind=_PHONE, address=number)
    listed.filter(source=SOURCE).delete()
    endings = [REASON, *([refused_code] if refused_code else [])]
    if refused_code:
        listed.filter(source="provider", reason__endswith=refused_code).delete()
    for ending in endings:
        ContactPoint.objects.reopen(kind=_PHONE, address=number, reason_ends=ending)


def _write_ledger(users: list[int], *, granted: bool, wording: str, at: datetime) -> None:
    for user_id in users:
        write_entry(
            user_id=user_id,
            purpose=PURPOSE,
            granted=granted,
            wording=wording[:200],
            source="sms",
            actor="sms",
            at=at,
        )
