"""OperationsService: kill switches and dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from uuid import UUID

from django.db import transaction

from notifications.delivery.registry import PROVIDERS
from notifications.domain.callers import Caller
from notifications.domain.channels import Channel
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_key
from notifications.domain.lifecycle import MessageStatus
from notifications.features.access.limits import check_category_keys
from notifications.features.access.service import check_operator, check_test_key
from notifications.features.operations.schemas import DeadLetterResponse, StopResponse
from notifications.features.sending.move import enqueue
from notifications.infra import clock
from notifications.infra.process import wakeups
from notifications.models import (
    ApiKey,
    Broadcast,
    BroadcastChange,
    Category,
    DeadLetter,
    KillSwitch,
    MailSeries,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    TemplateOverrun,
    TemplateVersion,
    change_status,
)
from notifications.models.audit.actions import Values, record_action, values_of

_PER_TRANSACTION = 500
_SOURCES = ("users", "digest", "system", "cli")
"""The sources of messages besides keys, broadcasts and series of mails (`Caller.source`)."""


class OperationsService:
    """Changes the running service for operators. Every change is logged with its actor."""

    def stops(self, *, caller: Caller) -> list[StopResponse]:
        """Returns the kill switches in force, the newest first."""
        check_operator(caller)
        return [_stop_response(row) for row in KillSwitch.objects.order_by("-created_at", "-id")]

    def stop(self, *, scope: str, value: str, reason: str, caller: Caller) -> StopResponse:
        """Stops everything, or one channel, provider, category, template, source or version.

        Messages in flight are not recalled; the stop applies from the next slice on.

        Raises:
            InvalidRequest: unknown scope or value, or no reason.
        """
        check_operator(caller)
        _check_stop(scope, value, reason)
        with transaction.atomic():
            row, _ = KillSwitch.objects.get_or_create(
                scope=scope,
                value="" if scope == KillSwitch.Scope.ALL else value,
                defaults={"reason": reason, "actor": caller.name, "created_at": clock.now()},
            )
            _log_action(
                caller, "kill-switch.stop", f"{scope}:{value}", reason, after=values_of(row)
            )
        return _stop_response(row)

    def lift(self, *, scope: str, value: str, caller: Caller) -> None:
        """Lifts a stop; the messages that waited are sent.

        Raises:
            NotFound: unknown_stop.
        """
        check_operator(caller)
        with transaction.atomic():
            gone, _ = KillSwitch.objects.filter(scope=scope, value=value).delete()
            if not gone:
                raise NotFound(
                    f"nothing is stopped at {scope} {value}".strip(), code="unknown_stop"
                )
            if scope == KillSwitch.Scope.VERSION:
                TemplateOverrun.objects.forget(value)
            _log_action(caller, "kill-switch.lift", f"{scope}:{value}", "")
            wakeups.wake(["critical", "high", "default", "bulk"])

    def dead_letters(
        self,
        *,
        caller: Caller,
        channel: str = "",
        provider: str = "",
        code: str = "",
        template: str = "",
        resolved: bool = False,
        after: int = 0,
        limit: int = 50,
    ) -> list[DeadLetterResponse]:
        """Returns dead letters, the oldest first; `after` is the last key of the page before."""
        check_operator(caller)
        rows = DeadLetter.objects.filter(pk__gt=after, resolved_at__isnull=not resolved)
        given = {"channel": channel, "provider": provider, "code": code}
        rows = rows.filter(**{name: value for name, value in given.items() if value})
        if template:
            versions = TemplateVersion.objects.filter(template__path=template).values("pk")
            rows = rows.filter(template_version_id__in=versions)
        page = list(rows.order_by("pk")[: max(1, min(limit, _PER_TRANSACTION))])
        uuids = dict(
            Notification.objects.filter(
                pk__in=[dead_letter.notification_id for dead_letter in page]
            ).values_list("pk", "uuid")
        )
        return [_dead_letter_response(row, uuids) for row in page]

    def replay(self, *, ids: Sequence[int], caller: Caller) -> int:
        """Sends dead letters again, each on the template version it was accepted with.

        Their attempts start again at zero. Dead letters that were resolved meanwhile are skipped.
        """
        check_operator(caller)
        check_dead_letters(caller, ids)
        replayed = 0
        for start in range(0, len(ids), _PER_TRANSACTION):
            with transaction.atomic():
                dead_letters = _open_dead_letters(ids[start : start + _PER_TRANSACTION])
                replayed += _replay(dead_letters, caller)
        target, after = f"{replayed} of {len(ids)}", {"ids": list(ids)}
        _log_action(caller, "dead-letters.replay", target, "", after=after)
        return replayed

    def discard(self, *, ids: Sequence[int], reason: str, caller: Caller) -> int:
        """Closes dead letters for good, with a reason."""
        check_operator(caller)
        if not reason.strip():
            raise InvalidRequest([FieldError("reason", "required", "say why they are discarded")])
        check_dead_letters(caller, ids)
        now = clock.now()
        with transaction.atomic():
            dead_letters = _open_dead_letters(ids)
            message_ids = [dead_letter.message_id for dead_letter in dead_letters]
            change_status(
                message_ids,
                MessageStatus.FAILED,
                reason=f"discarded by {caller.name}",
                only_from=frozenset({MessageStatus.UNCERTAIN}),
            )
            _notify_broadcasts(dead_letters)
            _resolve(dead_letters, DeadLetter.Resolution.DISCARDED, caller, reason, now=now)
            target, after = f"{len(dead_letters)} of {len(ids)}", {"ids": list(ids)}
            _log_action(caller, "dead-letters.discard", target, reason, after=after)
        return len(dead_letters)


def check_dead_letters(caller: Caller, ids: Sequence[int]) -> None:
    """Checks that a caller may work on all of these dead letters.

    Raises:
        Refused: category_not_allowed, for a member of staff whose groups do not include one of
            their categories; test_key, for a test key where one is of no test.
    """
    if caller.categories is None and not caller.is_test:
        return
    for start in range(0, len(ids), _PER_TRANSACTION):
        rows = DeadLetter.objects.filter(pk__in=ids[start : start + _PER_TRANSACTION])
        check_category_keys(caller, set(rows.values_list("category", flat=True)))
        if caller.is_test:
            named = Notification.objects.filter(pk__in=rows.values("notification_id"))
            check_test_key(caller, is_test=not named.filter(is_test=False).exists())


def _check_stop(scope: str, value: str, reason: str) -> None:
    errors = []
    if scope not in KillSwitch.Scope.values:
        known = ", ".join(KillSwitch.Scope.values)
        errors.append(FieldError("scope", "unknown_scope", f"must be one of {known}"))
    elif scope == KillSwitch.Scope.ALL and value:
        detail = "must be left out for this scope; or name the scope of what to stop"
        errors.append(FieldError("value", "invalid", detail))
    elif scope != KillSwitch.Scope.ALL and not value:
        errors.append(FieldError("value", "required", f"name the {scope} to stop"))
    elif value:
        errors += _unknown_value(scope, value)
    if not reason.strip():
        errors.append(
            FieldError("reason", "required", "say why: the operator who lifts the stop needs it")
        )
    if errors:
        raise InvalidRequest(errors)


def _unknown_value(scope: str, value: str) -> list[FieldError]:
    """Returns an error for a value that names nothing: it would stop nothing."""
    if scope == KillSwitch.Scope.TEMPLATE:
        return _unknown_template(value)
    if scope == KillSwitch.Scope.VERSION and not _is_version(value):
        detail = "must be the id of a version, alone or with @ and a source: 12, 12@key:3"
    elif scope == KillSwitch.Scope.SOURCE and not _is_source(value):
        detail = f"must be {', '.join(_SOURCES)}, or key:, broadcast: or series: and the id of one"
    else:
        known_values: dict[str, list[str]] = {
            KillSwitch.Scope.CHANNEL: list(Channel),
            KillSwitch.Scope.PROVIDER: list(PROVIDERS),
            KillSwitch.Scope.CATEGORY: list(Category.objects.values_list("key", flat=True)),
        }
        known = known_values.get(scope, [value])
        if value in known:
            return []
        detail = f"{value!r} is not a {scope}; known: {', '.join(known)}"
    return [FieldError("value", f"unknown_{scope}", detail)]


def _is_version(value: str) -> bool:
    version, at, source = value.partition("@")
    key = parse_key(version)
    exists = key is not None and TemplateVersion.objects.filter(pk=key).exists()
    return exists and (not at or _is_source(source))


def _is_source(value: str) -> bool:
    kind, _, key = value.partition(":")
    if kind == "key":
        return ApiKey.objects.filter(pk=parse_key(key) or 0).exists()
    if kind == "broadcast":
        return Broadcast.objects.filter(pk=parse_key(key) or 0).exists()
    if kind == "series":
        return MailSeries.objects.filter(pk=parse_key(key) or 0).exists()
    return value in _SOURCES


def _unknown_template(path: str) -> list[FieldError]:
    """Returns an error for a path without a template: it would stop nothing."""
    if NotificationTemplate.objects.filter(path=path).exists():
        return []
    near = get_close_matches(path, NotificationTemplate.objects.values_list("path", flat=True))
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return [FieldError("value", "unknown_template", f"there is no template {path!r}{hint}")]


def _open_dead_letters(ids: Sequence[int]) -> list[DeadLetter]:
    rows = DeadLetter.objects.select_for_update().filter(pk__in=ids, resolved_at__isnull=True)
    return list(rows.order_by("pk"))


def _replay(dead_letters: Sequence[DeadLetter], caller: Caller) -> int:
    by_key = {dead_letter.message_id: dead_letter for dead_letter in dead_letters}
    moved = change_status(
        list(by_key),
        MessageStatus.PENDING,
        reason=f"replayed by {caller.name}",
        only_from=frozenset({MessageStatus.FAILED, MessageStatus.UNCERTAIN}),
        fields={"attempts": 0},
    )
    enqueue(NotificationMessage.objects.filter(pk__in=moved).select_related("notification"))
    done = [by_key[key] for key in moved]
    _notify_broadcasts(done)
    _resolve(done, DeadLetter.Resolution.REPLAYED, caller, "", now=clock.now())
    return len(moved)


def _notify_broadcasts(dead_letters: Sequence[DeadLetter]) -> None:
    keys = [dead_letter.notification_id for dead_letter in dead_letters]
    sources = Notification.objects.filter(pk__in=keys).values_list("source", "pk")
    BroadcastChange.objects.append(sources)


def _resolve(
    dead_letters: Sequence[DeadLetter],
    resolution: DeadLetter.Resolution,
    caller: Caller,
    reason: str,
    *,
    now: object,
) -> None:
    DeadLetter.objects.filter(pk__in=[dead_letter.pk for dead_letter in dead_letters]).update(
        resolution=resolution,
        resolution_reason=reason,
        resolved_by=caller.name,
        resolved_at=now,
    )


def _log_action(
    caller: Caller, action: str, target: str, reason: str, *, after: Values = None
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=target,
        reason=reason,
        at=clock.now(),
        after=after,
    )


def _stop_response(row: KillSwitch) -> StopResponse:
    return StopResponse(
        scope=row.scope,
        value=row.value,
        reason=row.reason,
        actor=row.actor,
        created_at=row.created_at,
    )


def _dead_letter_response(row: DeadLetter, uuids: Mapping[int, UUID]) -> DeadLetterResponse:
    return DeadLetterResponse(
        id=row.pk,
        notification_id=uuids.get(row.notification_id),
        channel=row.channel,
        provider=row.provider,
        category=row.category,
        code=row.code,
        last_error=row.last_error,
        attempts=row.attempts,
        failed_at=row.failed_at,
        resolution=row.resolution,
        resolution_reason=row.resolution_reason,
        resolved_at=row.resolved_at,
    )
