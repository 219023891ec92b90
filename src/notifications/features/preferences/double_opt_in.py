"""Double opt-in: consent by mail counts only once the link in the mail was opened and its button
pressed, which proves that the address is the person's and that they mean it.

Nothing is stored meanwhile: the link holds whose, for what and since when, signed. What the ledger
says since then ends it: a link that was used, or whose consent was taken back, does nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from directory.models import ContactPoint, User
from directory.models.contact import ContactKind, ContactState
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.engine.shared_rows import category_by_key
from notifications.features.access.persons import person_for
from notifications.features.preferences.consents import WRITE, ConsentService
from notifications.features.preferences.link_holders import Holder, holder_of
from notifications.features.preferences.service import PreferenceService
from notifications.features.preferences.unsubscribe import link_caller
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.links import LinkKind, address_mark, read_link, sign_link
from notifications.models import (
    MARKETING,
    Category,
    ConsentRecord,
    NotificationTemplate,
)
from notifications.rendering.texts import consent_texts

SOURCE = "double_opt_in"
LASTS = timedelta(days=7)
MAILS_AN_HOUR = 3  # for one person and purpose
_LONGEST = 80
_EPOCH, _TICK = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class OptInBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """purpose: marketing, category:<key> or list:<name>. user_id: whose, when a service asks."""

    purpose: str
    user_id: str | int | None = None
    external_id: str | None = None


class OptInResponse(msgspec.Struct, kw_only=True):
    """The mail is on its way; until when its link is good."""

    purpose: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """What a link asks. topic: a category's or list's name; empty for marketing as a whole."""

    user_id: int
    mark: str
    since: datetime
    purpose: str
    topic: str


class DoubleOptIn:
    """Asks by mail, and takes the answer."""

    def ask(self, *, purpose: str, caller: Caller, identifier: object = None) -> OptInResponse:
        """Sends the mail. More than three an hour for one purpose are not sent.

        Raises:
            InvalidRequest: the purpose cannot be.
            Conflict: no_address, when the person has no email address that works.
        """
        _check(purpose)
        user = person_for(caller, identifier, scope=WRITE)
        point = ContactPoint.objects.filter(user=user, kind=ContactKind.EMAIL).first()
        if point is None or point.state != ContactState.ACTIVE:
            raise Conflict("the person has no email address that works", code="no_address")
        now = clock.now()
        token = sign_link(
            LinkKind.CONFIRM,
            str(user.pk),
            address_mark(point.address),
            str((now - _EPOCH) // _TICK),
            base64.urlsafe_b64encode(purpose.encode()).decode().rstrip("="),
        )
        with transaction.atomic():
            _ensure_template()
            _send(user, purpose, f"{environment().public_url}/confirm/{token}")
        return OptInResponse(purpose=purpose, expires_at=now + LASTS)

    def read(self, *, token: str) -> Question | None:
        """What a link asks; None for one that was not made here or has run out. Changes nothing."""
        fields = read_link(LinkKind.CONFIRM, token, 4)
        if fields is None:
            return None
        number, mark, ticks, packed = fields
        since = _EPOCH + int(ticks) * _TICK
        if since + LASTS <= clock.now():
            return None
        purpose = base64.urlsafe_b64decode(f"{packed}===").decode()
        return Question(int(number), mark, since, purpose, _topic(purpose))

    def holder(self, *, question: Question) -> Holder:
        """Whom the page of a link speaks to; nobody where the address is theirs no more."""
        return holder_of(question.user_id, question.mark)

    def confirm(self, *, token: str, wording: str, ip: str | None = None) -> bool:
        """Takes the answer: the consent counts from now on. Answers whether the link was good.

        A second time it changes nothing. It is no good when it has run out, the address is the
        person's no more, or something newer was said.
        """
        question = self.read(token=token)
        if question is None:
            return False
        with transaction.atomic():
            user = User.objects.select_for_update().filter(pk=question.user_id).first()
            if user is None or not user.is_active or not _prove(user, question.mark):
                return False
            newest = _newest(user, question)
            if newest is None:
                _grant(user, question.purpose, wording=wording, ip=ip)
            return newest is None or newest.granted


def _check(purpose: str) -> None:
    sort, _, name = purpose.partition(":")
    detail = ""
    if len(purpose) > _LONGEST or "\x00" in purpose:
        detail = f"must be 1 to {_LONGEST} characters without NUL"
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


def _prove(user: User, mark: str) -> bool:
    """Whether the address that the mail went to is still the person's: it is proven then."""
    point = ContactPoint.objects.filter(user=user, kind=ContactKind.EMAIL).first()
    if point is None or mark not in map(address_mark, (point.address, point.written_to)):
        return False
    if point.verified_at is None:
        point.verified_at = clock.now()
        point.save(update_fields=["verified_at", "updated_at"])
    return True


def _newest(user: User, question: Question) -> ConsentRecord | None:
    """The last thing that was said of a purpose since the question was asked."""
    said = ConsentRecord.objects.filter(user=user, purpose=question.purpose)
    return said.filter(at__gte=question.since).order_by("-pk").first()


def _grant(user: User, purpose: str, *, wording: str, ip: str | None) -> None:
    """Writes the consent down, and what decisions need to follow it."""
    caller = link_caller(user.pk)
    ConsentService().give(purpose=purpose, wording=wording, source=SOURCE, caller=caller, ip=ip)
    sort, _, key = purpose.partition(":")
    facts = category_by_key(key) if sort == "category" else None
    overall: dict[str, bool] = {}
    if purpose == MARKETING or (facts and facts.terms.consent_needed):
        overall["data_processing_consent"] = True
    if facts and facts.terms.marketing:
        overall["marketing_enabled"] = True
    changes: Mapping[str, Any] = {
        "global": overall,
        "categories": {key: {"email_enabled": True}} if facts else {},
    }
    PreferenceService().update(
        changes=changes,
        caller=caller,
        source=SOURCE,
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
            "context": {"confirm_url": url, "days": LASTS.days, "topic": _topic(purpose)},
            "options": {
                "throttle": {"key": f"confirm:{purpose}", "window_s": 3600, "limit": MAILS_AN_HOUR}
            },
        },
        caller=SYSTEM,
    )


def _ensure_template() -> None:
    """The published template of the mail; made when it is not there."""
    rows = NotificationTemplate.objects.filter(path=consent_texts.PATH)
    if rows.filter(current_version__isnull=False).exists():
        return
    category = Category.objects.filter(key="system").first()
    if category is None:
        raise NotFound("the category system is missing: run `carillon migrate`")
    try:
        with transaction.atomic():
            made = rows.first() or NotificationTemplate(
                category=category, **consent_texts.template_fields()
            )
            made.save()
            made.publish()
    except IntegrityError:  # somebody else made it in the same moment
        rows.get(current_version__isnull=False)
