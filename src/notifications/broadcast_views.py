"""The documented view set, for Django projects that mount broadcasts themselves.

    path("api/admin/", include("notifications.broadcast_urls"))

The routes are those of `/api/admin/broadcasts/`, with the same handlers. The project's own
authentication identifies the caller, who must be an operator or an admin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAdminUser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from directory.audiences import Audience, AudienceError, parse_target
from directory.models import User
from notifications.api import broadcast_recipients, broadcasts
from notifications.api.auth import caller_of
from notifications.api.bodies import check_texts, read_query
from notifications.api.errors import problem_response
from notifications.api.response import CSV_TYPE, FileResponse
from notifications.api.route import ApiRequest, Download, Handler, Query
from notifications.domain.errors import CarillonError
from notifications.features.broadcasts.documented import BATCH_SIZE, BroadcastService
from notifications.features.broadcasts.service import check_scope
from notifications.infra import clock
from notifications.models import Broadcast

_FORM = "/api/admin/broadcasts/"
"""Errors have the format of this path, wherever the project mounts the view set."""


class BroadcastViewSet(ViewSet):
    """Broadcasts, for admins."""

    permission_classes = (IsAdminUser,)
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    lookup_value_regex = "[^/.]+"

    def list(self, request: Request) -> Response:
        return _respond(request, broadcasts.broadcasts, query=broadcasts.LIST_QUERY)

    def create(self, request: Request) -> Response:
        return _respond(request, broadcasts.create, status=201)

    def retrieve(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.broadcast, pk)

    def partial_update(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.change, pk)

    def destroy(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.delete, pk)

    @action(detail=True, methods=["get"])
    def progress(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.progress, pk)

    @action(detail=True, methods=["get"])
    def recipients(self, request: Request, pk: str) -> Response:
        return _respond(
            request,
            broadcast_recipients.recipients,
            pk,
            query=broadcast_recipients.RECIPIENTS_QUERY,
        )

    @action(detail=True, methods=["get"], url_path=r"recipients\.csv")
    def recipients_file(self, request: Request, pk: str) -> Any:
        call = _call(request, pk, query=broadcast_recipients.STATES_QUERY)
        found = broadcast_recipients.recipients_file(call)
        return FileResponse(found.parts, name=found.name, media=CSV_TYPE)

    @action(detail=True, methods=["post"], url_path="recipients/retry")
    def retry_chosen(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcast_recipients.retry_chosen, pk)

    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.send_test, pk)

    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.duplicate, pk, status=201)

    @action(detail=True, methods=["post"])
    def send(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.send, pk)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.cancel, pk)

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.retry, pk)

    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.pause, pk)

    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.resume, pk)

    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.approve, pk)

    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.reject, pk)

    @action(detail=True, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Request, pk: str) -> Response:
        return _respond(request, broadcasts.dry_run, pk)

    @action(detail=False, methods=["post"], url_path="dry-run", url_name="dry-run-of-body")
    def dry_run_of_body(self, request: Request) -> Response:
        return _respond(request, broadcasts.dry_run_of_body)

    def handle_exception(self, exc: Exception) -> Any:
        """Returns the service's errors in the documented form, before the project's handler."""
        if isinstance(exc, CarillonError):
            return _shown(problem_response(exc, path=_FORM))
        if isinstance(exc, APIException):  # an error of the framework itself
            challenge = self.get_authenticate_header(self.request)
            unknown = isinstance(exc, NotAuthenticated | AuthenticationFailed)
            status = 403 if unknown and not challenge else exc.status_code
            body = {"success": False, "error": str(exc.detail), "code": exc.default_code}
            headers = {"WWW-Authenticate": challenge} if status == 401 and challenge else None
            return Response(body, status=status, headers=headers)
        return super().handle_exception(exc)


def _respond(
    request: Request,
    handler: Handler,
    pk: str = "",
    *,
    query: Sequence[Query] = (),
    status: int = 200,
) -> Response:
    """Passes a request to the handler of the same route under `/api/admin/broadcasts/`."""
    result = handler(_call(request, pk, query=query))
    assert not isinstance(result, Download), "a file has its own action"
    if isinstance(result, tuple):
        status, shape = result
        return Response(None if shape is None else msgspec.to_builtins(shape), status=status)
    return Response(msgspec.to_builtins(result), status=status)


def _call(request: Request, pk: str, *, query: Sequence[Query]) -> ApiRequest:
    """Returns a project's request in the form that the handlers read.

    Raises:
        Refused: missing_scope, for a member of staff whose role has not the scope `broadcasts`.
    """
    caller = caller_of(request)
    check_scope(caller)
    body = request.data if isinstance(request.data, dict) else {}
    check_texts(body)
    return ApiRequest(
        caller=caller,
        now=clock.now(),
        params={"id": pk} if pk else {},
        query=read_query(request.query_params, query),
        body=body,
        http=request._request,
    )


def _shown(response: HttpResponse) -> Response:
    return Response(msgspec.json.decode(response.content), status=response.status_code)


def _get_recipients_by_group(
    target_group: str, target_filter: dict[str, Any] | None = None
) -> QuerySet[User]:
    """Returns a lazy query of the users of a target, each once, by ascending id.

    Raises:
        ValueError: the group or its filter is invalid, or names something that does not exist.
    """
    try:
        rule = parse_target(target_group, target_filter)
        return Audience.of_rule(rule, now=clock.now()).people()
    except AudienceError as error:
        raise ValueError("; ".join(f"{each.path}: {each.detail}" for each in error.faults)) from (
            error
        )


def _create_broadcast_recipients(broadcast: Broadcast, users: Iterable[User | int]) -> int:
    """Stores users as recipients, a thousand at a time; returns the number of new ones.

    Raises:
        ValueError: the broadcast was deleted, or has ended.
    """
    ids = (each.pk if isinstance(each, User) else each for each in _in_pieces(users))
    created = 0
    while part := list(islice(ids, BATCH_SIZE)):
        created += BroadcastService.create_batch_recipients(broadcast.pk, part)["created_count"]
    return created


def _in_pieces(users: Iterable[User | int]) -> Iterable[User | int]:
    """Reads only the ids of a query, in pieces by key; a sliced or combined query in one piece."""
    if not isinstance(users, QuerySet):
        return iter(users)
    if users.query.is_sliced or users.query.combinator:
        return iter(users.values_list("pk", flat=True))
    return _keys_in_pieces(users)


def _keys_in_pieces(users: QuerySet[User]) -> Iterator[int]:
    rows = users.order_by("pk").values_list("pk", flat=True).distinct()
    part = list(rows[:BATCH_SIZE])
    while part:
        yield from part
        part = list(rows.filter(pk__gt=part[-1])[:BATCH_SIZE])


def _send_telegram_broadcasts(broadcast: Broadcast) -> dict[str, int]:
    """Sends a broadcast by Telegram and waits for the provider calls; returns {sent, failed}.

    Raises:
        ValueError: it has no channel telegram, was deleted, or can no longer be sent.
        RuntimeError: every attempt failed.
    """
    if "telegram" not in broadcast.channels:
        raise ValueError(f"Broadcast {broadcast.pk} has no channel telegram")
    result = BroadcastService.send_to_group_batch(
        broadcast.pk, broadcast.target_group, broadcast.target_filter
    )
    broadcast.refresh_from_db()
    if result["failed_count"] and not result["sent_count"]:
        raise RuntimeError(f"It was sent to no user: {result['failed_count']} failed")
    return {"sent": result["sent_count"], "failed": result["failed_count"]}
