"""What sends share: checks of scopes, channels and senders, the intent, the trial render."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from notifications.delivery.accounts import own_senders
from notifications.delivery.mail.mime import mailbox
from notifications.delivery.registry import PROVIDERS, provider_keys_for
from notifications.domain.callers import Caller
from notifications.domain.channels import Priority
from notifications.domain.errors import FieldError, InvalidRequest, NotFound, Refused
from notifications.domain.lifecycle import MessageStatus
from notifications.engine.shared_rows import (
    CategoryFacts,
    category_by_key,
    category_facts,
    category_keys,
)
from notifications.features.access.limits import check_category
from notifications.features.sending.schemas import SendResponse
from notifications.features.templates.service import serving_or_raise
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.intake.accept import Intent
from notifications.intake.request import Terms
from notifications.intake.validate import unknown_category
from notifications.models import NotificationTemplate
from notifications.models.audit.actions import record_action
from notifications.rendering.personalization import service_context
from notifications.rendering.pool.render_client import Task, render_task
from notifications.rendering.render import UserFacts
from notifications.rendering.versions import version_of


def check_scopes(terms: Terms, caller: Caller, *, address: bool) -> None:
    """Raises Refused where the caller lacks a scope; the error names the scope."""
    needed = []
    if caller.is_service:
        needed.append("notifications:send")
    if address:
        needed.append("notifications:address")
    if terms.priority == Priority.CRITICAL:
        needed.append("priority:critical")
    if terms.options.get("bypass_preferences"):
        needed.append("preferences:bypass")
    for scope in needed:
        if not caller.may(scope):
            raise Refused(
                f"this needs the scope {scope}: ask an administrator for a key that has it",
                code="missing_scope",
                scope=scope,
            )


def check_recipient(caller: Caller, user_id: int) -> None:
    """Refuses a send to another user without the scope for it.

    Raises:
        Refused: missing_scope.
    """
    if user_id != caller.user_id and not caller.may("notifications:send"):
        raise Refused(
            "you may only send to yourself; sending to others needs notifications:send",
            code="missing_scope",
            scope="notifications:send",
        )


def record_bypass(intent: Intent, caller: Caller, *, target: str) -> None:
    """Records a caller that bypasses preferences, in the transaction that accepts the send."""
    if intent.terms.options.get("bypass_preferences"):
        record_action(
            actor=caller.name,
            action="preferences.bypassed",
            target=target,
            reason=f"{intent.category_key}: {intent.terms.template_path}"[:200],
            at=clock.now(),
        )


def template_among(
    path: str, templates: Mapping[str, NotificationTemplate]
) -> NotificationTemplate:
    """Returns the published template that a request names.

    Args:
        templates: those at `candidates(path)`, by path.

    Raises:
        InvalidRequest: unknown_template, because the path is a field of the caller's request.
    """
    try:
        return serving_or_raise(path, templates)
    except NotFound as error:
        fault = FieldError("template_path", error.code, error.detail)
        raise InvalidRequest([fault], error.detail) from error


def check_channels(
    template: NotificationTemplate, channels: tuple[str, ...], *, field: str = "channel"
) -> None:
    """Raises InvalidRequest for a channel for which the template has no text."""
    version = version_of(template.current_version_id)
    missing = [channel for channel in channels if not version.supports(channel)]
    if missing:
        detail = f"template {template.path} has no text for {', '.join(missing)}"
        raise InvalidRequest([FieldError(field, "channel_not_in_template", detail)])


def make_intent(
    terms: Terms,
    template: NotificationTemplate,
    caller: Caller,
    *,
    mass: bool = False,
    channels: Iterable[str] = (),
) -> Intent:
    """Returns the template, category, provider and priority that a request means.

    channels: those of its recipients, in addition to those of its terms.

    Raises:
        Refused: category_not_allowed, for a member of staff whose groups do not include it.
    """
    chosen = _category(terms, template)
    check_category(caller, chosen.id)
    if template.category_id is not None:  # a request may name another category for its template
        check_category(caller, template.category_id)
    _check_provider(terms, channels)
    check_channels(template, tuple(terms.options.get("fallback", ())), field="options.fallback")
    check_senders(terms.options)
    return Intent(
        terms=terms,
        priority=Priority(terms.priority or template.default_priority),
        category_id=chosen.id,
        category_key=chosen.key,
        template_version_id=template.current_version_id,
        source=caller.source,
        mass=mass,
        is_test=caller.is_test,
        correlation_id=_request_id(),
        locale=terms.options.get("locale", ""),
    )


def _check_provider(terms: Terms, channels: Iterable[str]) -> None:
    """Raises InvalidRequest for a provider that carries none of the channels.

    Without this check, the provider would be ignored and another would send the message.
    """
    provider = terms.options.get("provider")
    if not provider:
        return
    if provider not in PROVIDERS:
        detail = f"known providers: {', '.join(PROVIDERS)}"
        raise InvalidRequest([FieldError("options.provider", "unknown_provider", detail)])
    requested = dict.fromkeys((*terms.channels, *terms.options.get("fallback", ()), *channels))
    carriers = dict.fromkeys(key for channel in requested for key in provider_keys_for(channel))
    if requested and provider not in carriers:
        detail = (
            f"{provider} does not carry {', '.join(requested)} here; {', '.join(carriers)} does:"
            " name that, or leave it out"
        )
        raise InvalidRequest([FieldError("options.provider", "provider_not_of_channel", detail)])


def _request_id() -> str | None:
    """Returns the id of the current request, as logs show it; None outside of a request."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return str(found)[:64] if found else None


def _category(terms: Terms, template: NotificationTemplate) -> CategoryFacts:
    """Returns the requested category, else the template's, else `system`."""
    if not terms.category and template.category_id:
        return category_facts(template.category_id)
    chosen = category_by_key(terms.category or "system")
    if chosen is None:
        raise unknown_category(terms.category or "system", category_keys())
    return chosen


def trial_tasks(
    intent: Intent, template: NotificationTemplate, user: UserFacts | None, *, now: datetime
) -> list[Task]:
    """Returns the trial render of each channel: the caller gets the errors that it can correct.

    Raises:
        InvalidRequest: the context lacks a variable, or holds what cannot be rendered.
    """
    version = version_of(intent.template_version_id)
    context = {**intent.terms.context, **service_context(at=now, user=user)}
    missing = version.missing_variables(context)
    if missing:
        raise InvalidRequest([missing_variables_error(template.path, missing)])
    locale = intent.locale or (user.locale if user else "") or environment().locale
    return [
        render_task(version, channel=channel, locale=locale, context=context)
        for channel in intent.terms.channels
    ]


def accepted_response(
    notification_id: UUID, intent: Intent, *, delivery_at: datetime
) -> SendResponse:
    """Returns the response to a send that was accepted."""
    return SendResponse(
        id=notification_id,
        status=MessageStatus.PENDING,
        message="Notification queued",
        estimated_delivery=delivery_at,
        warnings=list(intent.terms.warnings),
    )


def missing_variables_error(path: str, missing: list[str], where: str = "context") -> FieldError:
    """Returns the error for variables that a template requires and a context lacks."""
    names = ", ".join(missing)
    return FieldError(
        where, "missing_variable", f"template {path} requires {names}: add it to context"
    )


def check_senders(options: Mapping[str, Any]) -> None:
    """Checks that the sender is verified and that the reply address is a valid mail address.

    Raises:
        InvalidRequest: unverified_sender or invalid, with every error.
    """
    sender, reply_to = options.get("sender"), options.get("reply_to")
    if not sender and not reply_to:
        return
    errors = []
    if sender and not is_verified(str(sender)):
        known = ", ".join(dict.fromkeys([*environment().verified_senders, _default()]))
        detail = f"is not a verified sender (CARILLON_VERIFIED_SENDERS); known: {known}"
        errors.append(FieldError("options.sender", "unverified_sender", detail))
    if reply_to:
        try:
            mailbox(str(reply_to), local_too=True)
        except ValueError as error:
            errors.append(FieldError("options.reply_to", "invalid", str(error)))
    if errors:
        raise InvalidRequest(errors)


def is_verified(sender: str) -> bool:
    """Returns whether the settings list a sender: its address, its domain, or its number."""
    if "@" not in sender:
        return sender in (*environment().verified_senders, *own_senders())
    try:
        address = mailbox(sender, local_too=True).address.lower()
    except ValueError:
        return False
    listed = {name.lower() for name in environment().verified_senders}
    domain = address[address.rindex("@") :]
    return address in listed or domain in listed or address == _default().lower()


def _default() -> str:
    return mailbox(environment().email_from, local_too=True).address
