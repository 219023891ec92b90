"""Turns a caller's JSON object into a valid request, or reports all errors with their codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from directory.references import (
    PERSON_FORMS,
    InvalidPersonFields,
    PersonKey,
    read_person_fields,
)
from directory.texts import find_unstorable
from notifications.domain.channels import ADDRESS_CHANNELS, Channel, parse_priority
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.messages import EXTRAS_KEY, Attachment
from notifications.infra.field_types import CHANNEL_CHOICES
from notifications.infra.packing import fault_in
from notifications.intake.addresses import check_address
from notifications.intake.attachments import check_carried, read_attachments
from notifications.intake.extras import extras_too_large, read_extras
from notifications.intake.fields import Fields
from notifications.intake.limits import read_limits, read_number
from notifications.intake.request import (
    MAX_RECIPIENTS,
    BulkBody,
    BulkRecipient,
    BulkRequest,
    Recipient,
    Rejection,
    SendBody,
    SendOptions,
    SendRequest,
    Terms,
)

MAX_CONTEXT_BYTES = 256_000
MAX_CHANNELS = len(Channel)
_CHANNELS = ", ".join(Channel)
_RECIPIENT_FIELDS = frozenset(BulkRecipient.__struct_fields__)
_OURS = frozenset({"user", EXTRAS_KEY})
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}")


def parse_send(body: Mapping[str, Any], *, now: datetime) -> SendRequest:
    """Reads a single send.

    Raises:
        InvalidRequest: with every field's error.
    """
    fields = Fields(body)
    fields.refuse_unknown(SendBody.__struct_fields__)
    address = _address(fields)
    user = _user(fields, wanted=address is None and "to" not in body)
    if user is not None and address is not None:
        fields.add_error("to", "invalid", "give user_id (or external_id) or to, not both")
    terms = _terms(fields, now=now, default_channels=_channels_of(address))
    if address is not None:
        unreachable = [c for c in terms.channels if c not in _channels_of(address)]
        if unreachable:
            fields.add_error(
                "channel",
                "invalid",
                f"{', '.join(unreachable)} cannot reach the given address; leave channel out",
            )
    fields.raise_errors()
    return SendRequest(terms=terms, user=user, address=address)


def parse_bulk(body: Mapping[str, Any], *, now: datetime) -> BulkRequest:
    """Reads a bulk send. A wrong recipient becomes a rejection; a wrong body is an error.

    Raises:
        InvalidRequest: with every field's error.
    """
    fields = Fields(body)
    fields.refuse_unknown(BulkBody.__struct_fields__)
    audience = fields.mapping("audience") if body.get("audience") is not None else None
    listed = _listed(fields)
    terms = _terms(fields, now=now, channels_optional=True)
    if "channel_choice" in terms.options:
        fields.add_error("options.channel_choice", "invalid", "is for a single send or a campaign")
    if audience is not None and not terms.channels and not fields.errors:
        fields.add_error(
            "channel", "required", f"an audience needs one for all: one of {_CHANNELS}"
        )
    fields.raise_errors()
    recipients, rejected = _recipients(listed, terms)
    return BulkRequest(
        terms=terms,
        recipients=recipients,
        rejected=rejected,
        total=len(listed),
        audience=audience,
    )


def _listed(fields: Fields) -> list[Any]:
    """Returns the recipients as the caller wrote them; empty with an audience or with an error."""
    listed = fields.items("recipients")
    meant = fields.body.get("audience") is not None
    if listed is None:
        if not meant and fields.body.get("recipients") is None:
            fields.add_error(
                "recipients", "required", "is required: a list of {user_id, ...} (or use audience)"
            )
    elif meant:
        fields.add_error("audience", "invalid", "give recipients or audience, not both")
    elif not listed:
        fields.add_error("recipients", "invalid", "must name at least one recipient")
    elif len(listed) > MAX_RECIPIENTS:
        fields.add_error(
            "recipients",
            "too_many_recipients",
            f"takes up to {MAX_RECIPIENTS:,} recipients, not {len(listed):,}; send several calls",
        )
    else:
        return listed
    return []


def _recipients(listed: list[Any], terms: Terms) -> tuple[list[Recipient], list[Rejection]]:
    recipients: list[Recipient] = []
    rejected: list[Rejection] = []
    for index, item in enumerate(listed):
        found = _recipient(index, item, terms)
        if isinstance(found, Recipient):
            recipients.append(found)
        else:
            rejected.append(found)
    return recipients, rejected


def _recipient(index: int, item: Any, terms: Terms) -> Recipient | Rejection:
    if not isinstance(item, dict):
        return Rejection(index, "wrong_type", "must be an object with user_id or external_id")
    if not item.keys() <= _RECIPIENT_FIELDS:
        known = ", ".join(BulkRecipient.__struct_fields__)
        return Rejection(index, "unknown_field", f"holds a field that is not known; known: {known}")
    user = _person_in(item)
    if isinstance(user, InvalidPersonFields):
        return Rejection(index, "invalid_user", user.detail)
    channel = item.get("channel")
    if channel is not None and channel not in Channel.__members__.values():
        return Rejection(index, "invalid_channel", f"channel must be one of {_CHANNELS}")
    channels = (str(channel),) if channel else terms.channels
    if not channels:
        return Rejection(index, "invalid_channel", "name a channel here or for the whole call")
    context = item.get("context") or {}
    if not isinstance(context, dict):
        return Rejection(index, "wrong_type", "context must be an object")
    wrong = find_unstorable(context)
    if wrong is not None:
        return Rejection(index, wrong.code, f"context {wrong.detail}")
    context = _without_ours(context)
    fault = fault_in(context) if context else None
    if fault is not None:
        return Rejection(index, fault.code, f"{fault.path} {fault.detail}")
    if channel and extras_too_large(terms.context.get(EXTRAS_KEY, {}), channels):
        return Rejection(
            index, "too_large", "data, link, image and sound leave no space for the text of a push"
        )
    return Recipient(index, user, channels, context)


def _terms(
    fields: Fields,
    *,
    now: datetime,
    default_channels: tuple[str, ...] = (),
    channels_optional: bool = False,
) -> Terms:
    context, warnings = read_context(fields)
    scheduled_at = fields.moment("scheduled_at")
    if scheduled_at is not None and scheduled_at <= now:
        fields.add_error(
            "scheduled_at", "in_the_past", "must be in the future: leave it out to send at once"
        )
    expires_at = fields.moment("expires_at")
    if expires_at is not None and expires_at <= max(now, scheduled_at or now):
        fields.add_error("expires_at", "in_the_past", "must be after now and after scheduled_at")
    channels = read_channels(fields, default_channels, optional=channels_optional)
    options, attachments = _options(fields)
    if attachments:
        check_carried(fields, channels, options)
    fallback = options.get("fallback", ())
    extras = read_extras(fields, (*channels, *fallback))
    if extras:
        context = {**context, EXTRAS_KEY: extras}
    if fallback and (len(channels) != 1 or channels[0] in fallback):
        fields.add_error(
            "options.fallback",
            "one_channel",
            "needs exactly one channel, and must not name that channel again",
        )
    return Terms(
        template_path=fields.text("template_path", required=True) or "",
        channels=channels,
        priority=read_priority(fields),
        category=fields.text("category", longest=50),
        context=context,
        scheduled_at=scheduled_at,
        expires_at=expires_at,
        collapse_key=fields.text("collapse_key", longest=100),
        ordering_key=fields.text("ordering_key", longest=100),
        options=options,
        attachments=attachments,
        warnings=warnings,
    )


def _user(fields: Fields, *, wanted: bool) -> PersonKey | None:
    named = read_person_fields(fields.body.get("user_id"), fields.body.get("external_id"))
    if isinstance(named, InvalidPersonFields):
        fields.add_error(named.field, named.code, named.detail)
        return None
    if named is None and wanted:
        fields.add_error(
            "user_id", "required", f"is required: {PERSON_FORMS} (or use external_id or to)"
        )
    return named


def _person_in(item: Mapping[str, Any]) -> PersonKey | InvalidPersonFields:
    """Reads the person that a recipient of a bulk call names, or returns what is wrong."""
    named = read_person_fields(item.get("user_id"), item.get("external_id"))
    return named or InvalidPersonFields("user_id", "required", f"user_id must be {PERSON_FORMS}")


def _address(fields: Fields) -> dict[str, str] | None:
    given = fields.mapping("to")
    if fields.body.get("to") is None or any(error.path == "to" for error in fields.errors):
        return None
    known = {name: value for name, value in given.items() if name in ADDRESS_CHANNELS}
    if len(known) != 1 or len(given) != 1:
        fields.add_error("to", "invalid", f"must hold exactly one of {', '.join(ADDRESS_CHANNELS)}")
        return None
    ((name, value),) = known.items()
    try:
        return {name: check_address(name, value)}
    except ValueError as error:
        fields.add_error(f"to.{name}", "invalid_address", str(error))
        return None


def _channels_of(address: dict[str, str] | None) -> tuple[str, ...]:
    return tuple(str(ADDRESS_CHANNELS[name]) for name in address or ())


def read_channels(
    fields: Fields, default: tuple[str, ...], *, optional: bool = False
) -> tuple[str, ...]:
    """Reads the channels in `channel` or `channels`, else returns the default."""
    one, several = fields.body.get("channel"), fields.items("channels")
    if one is not None and several is not None:
        fields.add_error("channels", "invalid", "give channel or channels, not both")
        return ()
    name = "channel" if one is not None else "channels"
    requested = [one] if one is not None else several or []
    if not requested:
        if not default and not optional:
            fields.add_error("channel", "required", f"is required: one of {_CHANNELS}")
        return default
    wrong = [value for value in requested if value not in Channel.__members__.values()]
    if wrong:
        fields.add_error(name, "invalid_channel", f"{wrong[0]!r} is not one of {_CHANNELS}")
        return ()
    return tuple(dict.fromkeys(str(value) for value in requested))


def read_priority(fields: Fields) -> int | None:
    """Reads the requested priority as a number; returns None where it is missing or wrong."""
    value = fields.body.get("priority")
    if value is None:
        return None
    try:
        return int(parse_priority(value))
    except (ValueError, TypeError):
        fields.add_error(
            "priority",
            "invalid_priority",
            "must be 1 (critical), 2 (high), 3 (medium), 4 (low) or one of those words",
        )
        return None


def read_context(fields: Fields) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Reads the values of a template, and warnings; adds errors to `fields` where it is wrong."""
    context = fields.mapping("context")
    if not fields.check_json("context", context):
        return {}, ()
    if context and len(json.dumps(context, default=str)) > MAX_CONTEXT_BYTES:
        fields.add_error(
            "context", "too_large", f"must be under {MAX_CONTEXT_BYTES:,} bytes of JSON"
        )
    if "user" not in context:
        return _without_ours(context), ()
    return _without_ours(context), (
        "context.user is ignored: Carillon fills it in from the directory",
    )


def _without_ours(context: dict[str, Any]) -> dict[str, Any]:
    """Returns a context without the names that Carillon itself fills in."""
    if _OURS.isdisjoint(context):
        return context
    return {name: value for name, value in context.items() if name not in _OURS}


def _options(fields: Fields) -> tuple[dict[str, Any], tuple[Attachment, ...]]:
    """Reads the options in the form that is stored, and the attached files."""
    given = fields.mapping("options")
    if not given:
        return {}, ()
    inner = Fields(given, path="options.")
    inner.refuse_unknown(SendOptions.__struct_fields__)
    options: dict[str, Any] = {
        name: inner.flag(name, default)
        for name, default in (
            ("bypass_preferences", False),
            ("track_opens", True),
            ("track_clicks", True),
        )
        if name in given
    }
    for name in ("provider", "reply_to", "sender"):
        value = inner.text(name, longest=320)
        if value:
            options[name] = value
    locale = inner.text("locale", longest=20)
    if locale and not _LOCALE.fullmatch(locale):
        inner.add_error("locale", "invalid", "must be a locale such as en or ru_RU")
    elif locale:
        options["locale"] = locale.replace("-", "_")
    _option_lists(inner, options)
    options |= read_limits(inner, collapse_key=fields.body.get("collapse_key"))
    attachments = read_attachments(inner)
    fields.errors += inner.errors
    return options, attachments


def _option_lists(inner: Fields, options: dict[str, Any]) -> None:
    fallback = inner.items("fallback") or []
    if any(value not in Channel.__members__.values() for value in fallback):
        inner.add_error("fallback", "invalid_channel", f"must list channels of {_CHANNELS}")
    elif len(set(fallback)) != len(fallback):
        inner.add_error("fallback", "duplicate_channel", "names a channel twice")
    elif fallback:
        options["fallback"] = fallback
    after_s = read_number(inner, "fallback_after_s", highest=30 * 86_400)
    if after_s and not fallback:
        inner.add_error("fallback_after_s", "fallback_needed", "name the channels in fallback")
    elif after_s:
        options["fallback_after_s"] = after_s
    _channel_choice(inner, options)
    for name in ("reply_to", "sender"):
        value = options.get(name)
        if value and ("\n" in value or "\r" in value):
            inner.add_error(name, "invalid", "must be one line")


def _channel_choice(inner: Fields, options: dict[str, Any]) -> None:
    """Reads which channel comes first. What is given stays out: it is how every send is made."""
    chosen = inner.text("channel_choice", longest=20)
    if chosen and chosen not in CHANNEL_CHOICES:
        known = ", ".join(CHANNEL_CHOICES)
        inner.add_error("channel_choice", "invalid_choice", f"must be one of {known}")
    elif chosen == "learned" and not options.get("fallback"):
        inner.add_error("channel_choice", "fallback_needed", "name the other channels in fallback")
    elif chosen == "learned":
        options["channel_choice"] = chosen


def unknown_category(key: str, known: list[str]) -> InvalidRequest:
    """Returns the error for a category that does not exist."""
    detail = f"{key!r} is not a category; known: {', '.join(known)}"
    return InvalidRequest([FieldError("category", "unknown_category", detail)])
