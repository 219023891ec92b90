"""NotificationService: sends, shows, explains and cancels notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from directory.references import PersonKey
from notifications.domain.callers import Caller
from notifications.domain.errors import NotFound, TemplateFault
from notifications.domain.identifiers import parse_identifier
from notifications.domain.lifecycle import MessageStatus, best_status
from notifications.features.access.persons import keys_of
from notifications.features.access.principals import OPERATIONS
from notifications.features.access.service import check_test_key
from notifications.features.audit.receipts import decision_receipts
from notifications.features.audit.schemas import ReceiptResponse
from notifications.features.experiments.catalog import live_test
from notifications.features.experiments.placing import load_placings, showing
from notifications.features.learning.sends import with_learned_channels
from notifications.features.sending.bulk import send_bulk
from notifications.features.sending.cancel import cancel_waiting, is_in_flight
from notifications.features.sending.explain import (
    explain_notification,
    explain_refusal,
    find_refusal,
    without_words_of_operators,
)
from notifications.features.sending.groups.statuses import status_group
from notifications.features.sending.intents import (
    accepted_response,
    check_channels,
    check_recipient,
    check_scopes,
    make_intent,
    record_bypass,
    template_among,
    trial_tasks,
)
from notifications.features.sending.jobs import cancel_job, job_members, job_response
from notifications.features.sending.move import move_scheduled
from notifications.features.sending.queries import (
    NotificationPage,
    list_notifications,
    may_see,
    rows_of,
)
from notifications.features.sending.refusal import (
    PredictedDecision,
    check_open,
    predict_by,
)
from notifications.features.sending.schemas import (
    BulkResponse,
    CancelResponse,
    ExplainResponse,
    JobCancelResponse,
    JobResponse,
    MemberResponse,
    NotificationRow,
    SendResponse,
    StatusResponse,
)
from notifications.features.sending.simulate import SimulateResponse, simulate
from notifications.infra import clock
from notifications.intake.accept import Intent, SendTarget, accept
from notifications.intake.request import BulkBody, SendBody
from notifications.intake.validate import parse_send
from notifications.models import (
    Notification,
    NotificationMessage,
    NotificationTemplate,
)
from notifications.models.audit.actions import record_change
from notifications.models.delivery.hot_facts import load_for_sends
from notifications.rendering.paths import candidates
from notifications.rendering.pool.render_client import render_published
from notifications.rendering.render import UserFacts
from notifications.rendering.versions import version_of

__all__ = ["BulkBody", "NotificationService", "SendBody"]


class _ValidSend(NamedTuple):
    """A valid request for one recipient."""

    intent: Intent
    target: SendTarget
    #: The effect of the user's preferences.
    seen: PredictedDecision


class NotificationService:
    """The operations on notifications that callers use."""

    def send(self, *, body: Mapping[str, Any], caller: Caller) -> SendResponse:
        """Accepts one notification. It is committed with the caller's transaction.

        Raises:
            InvalidRequest: with every error of the body.
            NotFound: unknown_user.
            Refused: missing_scope or opted_out.
        """
        now = clock.now()
        valid = self._read(body, caller, now=now)
        intent = valid.intent
        seen = check_open(valid.seen, intent, valid.target, actor=caller.name, now=now)
        with transaction.atomic():
            accepted = accept(intent, [valid.target], now=now)
            record_bypass(intent, caller, target=accepted.uuids[0])
        return accepted_response(UUID(accepted.uuids[0]), intent, delivery_at=seen.delivery_at)

    def simulate(self, *, body: Mapping[str, Any], caller: Caller) -> SimulateResponse:
        """Returns what a send would lead to now, with the rendered text. Writes and sends nothing.

        The response contains the effect of the user's preferences; it is not an error.

        Raises:
            InvalidRequest, NotFound, Refused: as `send`, without opted_out.
        """
        now = clock.now()
        valid = self._read(body, caller, now=now)
        return simulate(valid.intent, valid.target, valid.seen, now=now, principal=caller.name)

    def send_bulk(self, *, body: Mapping[str, Any], caller: Caller) -> BulkResponse:
        """Accepts up to 10,000 notifications; lists wrong recipients with a code.

        Raises:
            InvalidRequest: with every error of the body itself.
            Refused: missing_scope.
        """
        return send_bulk(body, caller)

    def job(self, *, identifier: object, caller: Caller) -> JobResponse:
        """Returns the progress of a bulk call.

        Raises:
            NotFound: unknown_job.
        """
        return job_response(identifier, caller)

    def job_members(
        self, *, identifier: object, caller: Caller, after: int = 0, limit: int = 50
    ) -> list[tuple[int, MemberResponse]]:
        """Returns the accepted recipients of a bulk call, each with its key for the next page.

        Raises:
            NotFound: unknown_job.
        """
        return job_members(identifier, caller, after=after, limit=limit)

    def cancel_job(self, *, identifier: object, caller: Caller) -> JobCancelResponse:
        """Cancels the waiting notifications of a bulk call.

        Raises:
            NotFound: unknown_job.
            Refused: missing_scope.
            Conflict: job_of_broadcast.
        """
        return cancel_job(identifier, caller)

    def list(
        self, *, caller: Caller, filters: Mapping[str, Any], after: int = 0, limit: int = 50
    ) -> NotificationPage:
        """See `queries.list_notifications`."""
        return list_notifications(caller=caller, filters=filters, after=after, limit=limit)

    def get(self, *, identifier: object, caller: Caller) -> NotificationRow:
        """Returns one notification as lists show it.

        Raises:
            NotFound: unknown_notification.
        """
        return rows_of([self._find(identifier, caller)])[0]

    def move(
        self, *, identifier: object, body: Mapping[str, Any], caller: Caller
    ) -> NotificationRow:
        """Moves a scheduled notification to another time, while all its messages wait.

        Raises:
            NotFound: unknown_notification.
            InvalidRequest: in_the_past, after its expires_at, or not a time.
            Conflict: not_pending, already_sending.
        """
        found = self._find(identifier, caller)
        check_test_key(caller, is_test=found.is_test)
        with transaction.atomic():
            move_scheduled(found, body, by=caller.name, now=clock.now())
            record_change(
                actor=caller.name,
                action="notification.moved",
                target=f"notification:{found.uuid}",
                at=clock.now(),
                before={"scheduled_at": found.scheduled_at},
                after={"scheduled_at": body.get("scheduled_at")},
            )
        return self.get(identifier=found.pk, caller=caller)

    def status(self, *, identifier: object, caller: Caller) -> StatusResponse:
        """Returns the status of a notification and of its messages.

        Raises:
            NotFound: unknown_notification.
        """
        found = status_group([(caller, identifier)])[0]
        if found is None:
            raise _unknown(identifier)
        return found

    def explain(self, *, identifier: object, caller: Caller) -> ExplainResponse:
        """Returns all decisions and results in order: why a notification was sent or not.

        identifier names a notification, or the decision of a refused send.
        """
        refused = find_refusal(identifier, caller)
        if refused is not None:
            return explain_refusal(refused)
        found = self._find(identifier, caller)
        messages = list(found.messages.order_by("id"))
        explained = explain_notification(found, messages, _status(messages))
        return explained if caller.may(OPERATIONS) else without_words_of_operators(explained)

    def receipt(self, *, identifier: object, caller: Caller) -> ReceiptResponse:
        """Returns the proof of every recorded decision on a notification.

        Raises:
            NotFound: no_receipt. Conflict: not_sealed_yet, audit_damaged.
        """
        found = self._find(identifier, caller)
        messages = list(found.messages.order_by("id"))
        return decision_receipts(messages, about=f"notification {found.uuid}")

    def cancel(self, *, identifier: object, caller: Caller) -> CancelResponse:
        """Cancels the messages that wait.

        Raises:
            Refused: test_key.
            Conflict: already_sending: a message is in flight; not_pending: no message waits.
        """
        found = self._find(identifier, caller)
        check_test_key(caller, is_test=found.is_test)
        with transaction.atomic():
            channels = cancel_waiting(found, by=caller.name, now=clock.now())
            record_change(
                actor=caller.name,
                action="notification.cancelled",
                target=f"notification:{found.uuid}",
                at=clock.now(),
                after={"channels": list(channels)},
            )
        status = best_status(found.messages.values_list("status", flat=True))
        return CancelResponse(id=found.uuid, status=status, cancelled=channels)

    def _find(self, identifier: object, caller: Caller) -> Notification:
        key = parse_identifier(identifier)
        if key is None:
            raise _unknown(identifier)
        rows = Notification.objects.select_related("category", "template_version__template")
        found = rows.filter(**{"uuid" if isinstance(key, UUID) else "pk": key}).first()
        if found is None or not may_see(caller, found.user_id):
            raise _unknown(identifier)
        return found

    def _read(self, body: Mapping[str, Any], caller: Caller, *, now: datetime) -> _ValidSend:
        """Reads a request that can be accepted; raises every error otherwise."""
        request = parse_send(body, now=now)
        check_scopes(request.terms, caller, address=request.address is not None)
        path, keys = request.terms.template_path, {}
        if request.user is not None:
            keys = keys_of([request.user])
        facts = load_for_sends(candidates(path), list(keys.values()))
        template = template_among(path, facts.templates)
        user = None
        if request.user is not None:
            user = _user(request.user, facts.users.get(keys.get(request.user, 0)), caller)
        user_id = user.id if user else None
        terms, assigned = with_learned_channels(
            request.terms,
            user_id,
            supports=lambda channel: version_of(template.current_version_id).supports(channel),
            is_tested=lambda: live_test(template.pk) is not None,
        )
        intent = make_intent(terms, template, caller)
        check_channels(template, terms.channels)
        if assigned is None:
            placings = load_placings([template], [user_id] if user_id else [])
            assigned = placings.assigned(
                intent, template.pk, user_id, terms.channels, terms.context
            )
        intent = showing(intent, assigned)
        _trial_render(intent, template, user, now=now)
        target = SendTarget(
            user_id=user_id,
            channels=terms.channels,
            address=request.address,
            data_key=facts.keys.get(user.id) if user else None,
            assigned=assigned,
        )
        here = facts.here if user else None
        addresses = facts.addresses.get(user.id, {}) if user else {}
        return _ValidSend(intent, target, predict_by(intent, target, here, addresses, now=now))


def _user(named: PersonKey, row: Sequence[Any] | None, caller: Caller) -> UserFacts:
    if row is None:
        how = "create it with PUT /api/v1/users/ and their UUID, or ext: and your external_id"
        raise NotFound(f"there is no user {named}: {how}", code="unknown_user")
    found = UserFacts._make(row[: len(UserFacts._fields)])
    check_recipient(caller, found.id)
    return found


def _trial_render(
    intent: Intent, template: NotificationTemplate, user: UserFacts | None, *, now: datetime
) -> None:
    """Renders every channel once, so that the caller gets the errors it can correct at once."""
    for shown in render_published(trial_tasks(intent, template, user, now=now)):
        if isinstance(shown, TemplateFault):
            raise shown


def _unknown(identifier: object) -> NotFound:
    detail = f"there is no notification {identifier}"
    if parse_identifier(identifier) is None:
        detail = "a notification is named by its id or uuid"
    return NotFound(detail, code="unknown_notification")


def _status(messages: list[NotificationMessage]) -> str:
    ranked = [MessageStatus(_shown_status(message)) for message in messages]
    return best_status(ranked) if ranked else MessageStatus.PENDING


def _shown_status(message: NotificationMessage) -> str:
    return MessageStatus.PROCESSING if is_in_flight(message) else message.status
