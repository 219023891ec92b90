"""Proves that an address belongs to a person before it is used.

A code is sent to an email address or phone number. A Telegram chat sends the code of a link to the
bot.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from django.conf import settings
from django.db import transaction

from directory.models import AddressProof, ContactPoint, User
from directory.models.contact import ContactKind, ContactState
from notifications.delivery.accounts import environment_settings
from notifications.delivery.vendors.telegram.settings import Settings as TelegramSettings
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, Refused
from notifications.features.access.persons import person_for
from notifications.features.access.throttles import throttled_error
from notifications.features.people.service import WRITE
from notifications.features.sending.service import NotificationService
from notifications.features.templates.system import ensure_system_template
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.crypto import sign_text
from notifications.infra.field_types import ExternalIdOrNone, UserRefOrNone, choice
from notifications.intake.addresses import check_address
from notifications.models.audit.actions import record_change
from notifications.rendering.texts import proof_texts

_OWNERS = 100
"""Users of one chat whose entries are written; normally there is one."""
CODE_LASTS = timedelta(minutes=10)
LINK_LASTS = timedelta(hours=1)
MAX_ATTEMPTS = 5
MAX_SENT = 5  # codes an hour for one person and kind
_WINDOW = timedelta(hours=1)
_COLUMN = {"email": "email", "phone": "phone_number"}
_CHANNEL = {"email": "email", "phone": "sms"}


ProofKind = Annotated[
    str, choice("VerificationKind", _COLUMN, "The kind of the address to verify.")
]


class ProofBody(msgspec.Struct, kw_only=True):
    """The address to which a code is sent."""

    kind: ProofKind

    address: str
    """An email address, or a phone number in E.164. Example: `ada@example.com`"""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None


class CodeBody(msgspec.Struct, kw_only=True):
    """The code that the user received."""

    kind: ProofKind

    code: str
    """The code as it was sent. Example: `"482913"`"""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None


class ProofResponse(msgspec.Struct, kw_only=True):
    """A code was sent."""

    kind: ProofKind

    expires_at: datetime
    """Until when the code is valid (RFC 3339)."""

    attempts_left: int
    """How many wrong codes are accepted before the code is void. Example: `5`"""


class ProvenResponse(msgspec.Struct, kw_only=True):
    """The address is now the user's contact point."""

    kind: ProofKind

    address: str
    """The verified address. Example: `ada@example.com`"""

    verified_at: datetime
    """When it was verified (RFC 3339)."""


class TelegramLinkResponse(msgspec.Struct, kw_only=True):
    """A link that opens the bot's chat, where pressing Start connects it. It works once."""

    url: str
    """The link for the user. Example: `https://t.me/school_bot?start=k3x9`"""

    expires_at: datetime
    """Until when the link works (RFC 3339)."""


class ProofService:
    """Sends and checks codes and links."""

    def start(
        self, *, kind: str, address: str, caller: Caller, identifier: object = None
    ) -> ProofResponse:
        """Sends a code to an address. A code that was sent before becomes invalid.

        Raises:
            InvalidRequest: the kind or the address is wrong.
            Throttled: too_many_codes, after five codes within an hour.
        """
        if kind not in _COLUMN:
            raise InvalidRequest([FieldError("kind", "invalid_choice", "must be email or phone")])
        try:
            address = check_address(kind, address)
        except ValueError as error:
            raise InvalidRequest([FieldError("address", "invalid_address", str(error))]) from error
        user = person_for(caller, identifier, scope=WRITE)
        code, now = f"{secrets.randbelow(1_000_000):06d}", clock.now()
        with transaction.atomic():
            proof = _renew(user, kind, address=address, now=now, lasts=CODE_LASTS)
            proof.code_hash = _hash(user.pk, kind, code)
            proof.save()
            _send_code(user, kind, address, code)
        return ProofResponse(kind=kind, expires_at=proof.expires_at, attempts_left=MAX_ATTEMPTS)

    def confirm(
        self, *, kind: str, code: str, caller: Caller, identifier: object = None
    ) -> ProvenResponse:
        """Checks a code. The address becomes the person's contact point, active and verified.

        Raises:
            InvalidRequest: wrong_code.
            Conflict: no_code: no code was sent, it expired, or had too many attempts.
        """
        user = person_for(caller, identifier, scope=WRITE)
        now = clock.now()
        address = _redeem_code(user, kind, code, now=now, actor=caller.name)
        if address is None:
            raise InvalidRequest(
                [FieldError("code", "wrong_code", "is not the code that was sent")]
            )
        return ProvenResponse(kind=kind, address=address, verified_at=now)

    def telegram_link(self, *, caller: Caller, identifier: object = None) -> TelegramLinkResponse:
        """Returns a link by which a person connects their Telegram chat.

        Raises:
            Conflict: no_bot: CARILLON_TELEGRAM_BOT_NAME is not set.
        """
        name = environment_settings(TelegramSettings).telegram_bot_name.removeprefix("@")
        if not name:
            raise Conflict("set CARILLON_TELEGRAM_BOT_NAME to the bot's user name", code="no_bot")
        user = person_for(caller, identifier, scope=WRITE)
        code, now = secrets.token_urlsafe(24), clock.now()
        with transaction.atomic():
            proof = _renew(user, ContactKind.TELEGRAM, address="", now=now, lasts=LINK_LASTS)
            proof.code_hash = _hash(0, ContactKind.TELEGRAM, code)
            proof.save()
        return TelegramLinkResponse(
            url=f"https://t.me/{name}?start={code}", expires_at=proof.expires_at
        )

    def telegram_update(self, *, update: dict[str, Any], secret: str) -> str | None:
        """Processes an update of the bot: /start CODE connects a chat, /stop and a block end it.

        Returns the bot's reply to the chat, or None. Safe to repeat.

        Raises:
            Refused: wrong_secret: the update is not from Telegram.
        """
        if not hmac.compare_digest(secret.encode(), settings.TELEGRAM_WEBHOOK_SECRET.encode()):
            raise Refused("the secret is not the configured one", code="wrong_secret")
        message, member = update.get("message"), update.get("my_chat_member")
        if isinstance(message, dict):
            return _follow_message(message)
        if isinstance(member, dict):
            status = _within(member, "new_chat_member", "status")
            if status in ("kicked", "left"):
                _end_chat(_within(member, "chat", "id"), ContactState.BOUNCED, "bot_blocked")
        return None


def _renew(user: User, kind: str, *, address: str, now: datetime, lasts: timedelta) -> AddressProof:
    """Restarts and locks the person's proof of a kind; the caller saves it."""
    AddressProof.objects.bulk_create(
        [
            AddressProof(
                user=user,
                kind=kind,
                sent=0,
                window_began=now,
                created_at=now,
                expires_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    proof = AddressProof.objects.select_for_update().get(user=user, kind=kind)
    if now - proof.window_began >= _WINDOW:
        proof.window_began, proof.sent = now, 0
    if proof.sent >= MAX_SENT:
        left = (proof.window_began + _WINDOW - now).total_seconds()
        raise throttled_error(
            f"{MAX_SENT} codes were sent within the hour", seconds=left, code="too_many_codes"
        )
    proof.sent += 1
    proof.address, proof.attempts = address, 0
    proof.created_at, proof.expires_at = now, now + lasts
    return proof


def _hash(user_id: int, kind: str, code: str) -> str:
    return sign_text("address-proof", f"{user_id}:{kind}:{code}")


def _send_code(user: User, kind: str, address: str, code: str) -> None:
    ensure_system_template("security", proof_texts.template_fields())
    NotificationService().send(
        body={
            "template_path": proof_texts.PATH,
            "to": {kind: address},
            "channel": _CHANNEL[kind],
            "priority": 2,
            "options": {"locale": user.locale},
            "context": {"code": code, "minutes": int(CODE_LASTS.total_seconds() // 60)},
            "expires_at": (clock.now() + CODE_LASTS).isoformat(),
        },
        caller=SYSTEM,
    )


def _redeem_code(user: User, kind: str, code: str, *, now: datetime, actor: str) -> str | None:
    """Returns the proven address; counts a wrong code and returns None."""
    with transaction.atomic():
        proof = AddressProof.objects.select_for_update().filter(user=user, kind=kind).first()
        if proof is None or proof.expires_at <= now or proof.attempts >= MAX_ATTEMPTS:
            raise Conflict("there is no valid code: request a new one", code="no_code")
        if not hmac.compare_digest(proof.code_hash, _hash(user.pk, kind, code.strip())):
            proof.attempts += 1
            proof.save(update_fields=["attempts"])
            return None
        _set_verified_address(user, kind, proof.address, now, actor=actor)
        proof.expires_at = now  # valid once; the count of sent codes stays
        proof.save(update_fields=["expires_at"])
        return str(proof.address)


def _set_verified_address(
    user: User, kind: str, address: str, now: datetime, *, actor: str
) -> None:
    column = _COLUMN.get(kind, "telegram_id")
    record_change(
        actor=actor,
        action="address.verified",
        target=f"user:{user.pk}",
        at=now,
        subject_id=user.pk,
        before={column: getattr(user, column), "verified": False},
        after={column: address, "verified": True},
    )
    setattr(user, column, address)
    user.save(update_fields=[column])
    ContactPoint.objects.filter(user=user, kind=kind).update(
        state=ContactState.ACTIVE, state_reason="", verified_at=now, updated_at=now
    )


def _follow_message(message: dict[str, Any]) -> str | None:
    chat, text = _within(message, "chat", "id"), str(message.get("text", "")).strip()
    if not isinstance(chat, int) or _within(message, "chat", "type") != "private":
        return None
    word, _, rest = text.partition(" ")
    if word == "/stop":
        _end_chat(chat, ContactState.UNSUBSCRIBED, "stop")
        return f"{environment().app_name} will not send you messages here any more."
    if word != "/start" or not rest:
        return None
    if _connect(chat, rest.strip()):
        return f"This chat is connected to {environment().app_name}. Send /stop to disconnect it."
    return "This link is not valid any more. Get a new one where you found it."


def _connect(chat: int, code: str) -> bool:
    now = clock.now()
    with transaction.atomic():
        proof = (
            AddressProof.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(code_hash=_hash(0, ContactKind.TELEGRAM, code), expires_at__gt=now)
            .first()
        )
        if proof is None:
            return False
        _set_verified_address(
            proof.user, ContactKind.TELEGRAM, str(chat), now, actor=f"user:{proof.user_id}"
        )
        proof.expires_at = now
        proof.save(update_fields=["expires_at"])
    return True


def _end_chat(chat: object, state: str, reason: str) -> None:
    now = clock.now()
    rows = ContactPoint.objects.filter(kind=ContactKind.TELEGRAM, address=str(chat))
    with transaction.atomic():
        for user_id, before in rows.exclude(state=state).values_list("user_id", "state")[:_OWNERS]:
            record_change(
                actor=f"user:{user_id}",
                action="telegram.ended",
                target=f"user:{user_id}",
                at=now,
                subject_id=user_id,
                reason=reason,
                before={"state": before},
                after={"state": state},
            )
        rows.update(state=state, state_reason=reason, updated_at=now)


def _within(value: dict[str, Any], *names: str) -> Any:
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
