"""Double opt-in: a consent counts once the user opened the link in a mail and pressed its button.

That proves that the address belongs to the user and that the user agrees. Nothing is stored before:
the signed link holds the user, the address, the time and the purpose. A newer ledger entry for the
purpose ends the link, so a link that was used, or whose consent was withdrawn, does nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction

from directory.models import ContactPoint, User
from directory.models.contact import ContactKind, ContactState
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest
from notifications.engine.shared_rows import category_by_key
from notifications.features.access.persons import person_for
from notifications.features.preferences.consents import WRITE, ConsentService
from notifications.features.preferences.link_holders import LinkHolder, find_holder
from notifications.features.preferences.service import PreferenceService
from notifications.features.preferences.unsubscribe import link_caller
from notifications.features.sending.service import NotificationService
from notifications.features.templates.system import ensure_system_template
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.field_types import ExternalIdOrNone, UserRefOrNone
from notifications.infra.links import (
    LinkKind,
    address_mark,
    link_time,
    read_link,
    read_link_time,
    sign_link,
)
from notifications.models import (
    MARKETING,
    ConsentRecord,
)
from notifications.rendering.texts import consent_texts

SOURCE = "double_opt_in"
LINK_LIFETIME = timedelta(days=7)
MAILS_AN_HOUR = 3  # for one user and purpose
_LONGEST_PURPOSE = 80


class OptInBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The consent that the user is asked for by email."""

    purpose: str
    """`marketing`, `category:` and a key, or `list:` and a name. Example: `category:course`"""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None


class OptInResponse(msgspec.Struct, kw_only=True):
    """The email was accepted for sending."""

    purpose: str
    """The purpose of the consent. Example: `category:course`"""

    expires_at: datetime
    """Until when the link in the email works (RFC 3339)."""


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """What a link asks a user to agree to."""

    user_id: int
    #: The mark of the address that the mail went to (`infra.links.address_mark`).
    mark: str
    #: When the mail was sent.
    since: datetime
    purpose: str
    #: The name of a category or list; empty for marketing as a whole.
    topic: str


class DoubleOptIn:
    """Requests a consent by mail, and records it when the user confirms."""

    def request(self, *, purpose: str, caller: Caller, identifier: object = None) -> OptInResponse:
        """Sends the mail. Sends at most three mails an hour for one user and purpose.

        Raises:
            InvalidRequest: the purpose is not valid.
            Conflict: no_address, when the user has no active email address.
        """
        _check(purpose)
        user = person_for(caller, identifier, scope=WRITE)
        point = ContactPoint.objects.filter(user=user, kind=ContactKind.EMAIL).first()
        if point is None or point.state != ContactState.ACTIVE:
            raise Conflict("the user has no active email address", code="no_address")
        now = clock.now()
        token = sign_link(
            LinkKind.CONFIRM,
            str(user.pk),
            address_mark(point.address),
            link_time(now),
            base64.urlsafe_b64encode(purpose.encode()).decode().rstrip("="),
        )
        with transaction.atomic():
            ensure_system_template("system", consent_texts.template_fields())
            _send(user, purpose, f"{environment().public_url}/confirm/{token}")
        return OptInResponse(purpose=purpose, expires_at=now + LINK_LIFETIME)

    def read(self, *, token: str) -> ConsentRequest | None:
        """Returns what a link asks. None for one that is forged or expired. Changes nothing."""
        fields = read_link(LinkKind.CONFIRM, token, 4)
        if fields is None:
            return None
        number, mark, ticks, packed = fields
        since = read_link_time(ticks)
        if since + LINK_LIFETIME <= clock.now():
            return None
        purpose = base64.urlsafe_b64decode(f"{packed}===").decode()
        return ConsentRequest(int(number), mark, since, purpose, _topic(purpose))

    def holder(self, *, request: ConsentRequest) -> LinkHolder:
        """Returns the user of a link; empty when the address is no longer the user's."""
        return find_holder(request.user_id, request.mark)

    def confirm(self, *, token: str, wording: str, ip: str | None = None) -> bool:
        """Records the consent and returns whether the link was valid.

        A second call changes nothing. A link is not valid once it has expired, once the address is
        no longer the user's, or once the user withdrew the consent since.
        """
        request = self.read(token=token)
        if request is None:
            return False
        with transaction.atomic():
            user = User.objects.select_for_update().filter(pk=request.user_id).first()
            if user is None or not user.is_active or not verify_address(user, request.mark):
                return False
            newest = _newest_entry(user, request)
            if newest is None:
                _grant(user, request.purpose, wording=wording, ip=ip)
            return newest is None or newest.granted


def _check(purpose: str) -> None:
    sort, _, name = purpose.partition(":")
    detail = ""
    if len(purpose) > _LONGEST_PURPOSE or "\x00" in purpose:
        detail = f"must be 1 to {_LONGEST_PURPOSE} characters without NUL"
    elif purpose != MARKETING and not (sort in ("category", "list") and name.strip()):
        detail = "must be marketing, category:<key> or list:<name>"
    elif sort == "category" and category_by_key(name) is None:
        detail = f"there is no category {name}"
    if detail:
        raise InvalidRequest([FieldError("purpose", "invalid_choice", detail)])


def _topic(purpose: str) -> str:
    sort, _, name = purpose.partition(":")
    facts = category_by_key(name) if sort == "category" else None
    return facts.name or facts.key if facts else name


def verify_address(user: User, mark: str) -> bool:
    """Returns whether the address with this mark is still the user's; if so, it is verified now."""
    point = ContactPoint.objects.filter(user=user, kind=ContactKind.EMAIL).first()
    if point is None or mark not in map(address_mark, (point.address, point.written_to)):
        return False
    if point.verified_at is None:
        point.verified_at = clock.now()
        point.save(update_fields=["verified_at", "updated_at"])
    return True


def _newest_entry(user: User, request: ConsentRequest) -> ConsentRecord | None:
    """Returns the newest ledger entry for the purpose since the mail was sent."""
    entries = ConsentRecord.objects.filter(user=user, purpose=request.purpose)
    return entries.filter(at__gte=request.since).order_by("-pk").first()


def _grant(user: User, purpose: str, *, wording: str, ip: str | None) -> None:
    """Records the consent, and sets the preferences that decisions need to follow it."""
    caller = link_caller(user.pk)
    ConsentService().give(purpose=purpose, wording=wording, source=SOURCE, caller=caller, ip=ip)
    sort, _, key = purpose.partition(":")
    if sort != "list":
        open_category(user, key, wording=wording, source=SOURCE, ip=ip)


def open_category(user: User, key: str, *, wording: str, source: str, ip: str | None) -> None:
    """Sets the preferences without which mails of a category are not sent, with their consents.

    Without a key, it is marketing as a whole. wording: what the user agreed to.
    """
    facts = category_by_key(key) if key else None
    overall: dict[str, bool] = {}
    if not key or (facts and facts.terms.consent_needed):
        overall["data_processing_consent"] = True
    if facts and facts.terms.marketing:
        overall["marketing_enabled"] = True
    changes: Mapping[str, Any] = {
        "global": overall,
        "categories": {key: {"email_enabled": True}} if facts else {},
    }
    PreferenceService().update(
        changes=changes,
        caller=link_caller(user.pk),
        source=source,
        ip=ip,
        wordings=dict.fromkeys(("data_processing_consent", "marketing_enabled"), wording),
    )


def _send(user: User, purpose: str, url: str) -> None:
    NotificationService().send(
        body={
            "template_path": consent_texts.PATH,
            "user_id": user.pk,
            "channel": "email",
            "priority": 2,
            "context": {"confirm_url": url, "days": LINK_LIFETIME.days, "topic": _topic(purpose)},
            "options": {
                "throttle": {"key": f"confirm:{purpose}", "window_s": 3600, "limit": MAILS_AN_HOUR}
            },
        },
        caller=SYSTEM,
    )
