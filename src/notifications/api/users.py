"""Routes of users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest

from notifications.api.bodies import check_content_encoding, decode, read_object
from notifications.api.errors import InvalidJson
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.people.schemas import (
    UserBody,
    UserList,
    UserResponse,
    UsersBody,
    UsersResponse,
)
from notifications.features.people.service import READ, WRITE, UserService
from notifications.features.privacy.schemas import ErasureResponse
from notifications.features.privacy.service import ERASE, PrivacyService

_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")


def users(request: ApiRequest) -> UserList:
    page = page_of(request)
    found = UserService().list(
        caller=request.caller, filters=request.query, after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [user.id for user in found])
    return UserList(results=list(found[: page.limit]), next=following, previous=previous)


def user(request: ApiRequest) -> UserResponse:
    return UserService().get(identifier=request.params["id"], caller=request.caller)


def put_user(request: ApiRequest) -> tuple[int, UserResponse]:
    new, response = UserService().upsert(
        uuid=request.params["id"], record=request.body, caller=request.caller
    )
    return (201 if new else 200), response


def put_users(request: ApiRequest) -> UsersResponse:
    return UserService().upsert_many(records=_records(request.http), caller=request.caller)


def delete_user(request: ApiRequest) -> ErasureResponse:
    return PrivacyService().erase_user(
        identifier=request.params["id"], reason=request.query["reason"], caller=request.caller
    )


def _records(http: HttpRequest) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yields the records of a body: lines of JSON, a JSON array, or an object with `users`."""
    check_content_encoding(http)
    if (http.content_type or "") in _NDJSON:
        return _lines(http.body)
    if http.body.lstrip()[:1] == b"[":
        found = decode(http.body)
    else:
        body = read_object(http)
        found = body.get("users")
        if not isinstance(found, list) or len(body) > 1:
            detail = "must be the list of users, and the only field"
            raise InvalidRequest([FieldError("users", "required", detail)])
    return ((n, each if isinstance(each, dict) else _NO_OBJECT) for n, each in enumerate(found))


_NO_OBJECT = "is not a JSON object"


def _lines(body: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    index, start = 0, 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        line, start = body[start:end].strip(), end + 1
        if not line:
            continue
        try:
            record = decode(line)
        except InvalidJson as error:
            yield index, error.detail if error.code == "duplicate_key" else "is not JSON"
        else:
            yield index, record if isinstance(record, dict) else _NO_OBJECT
        index += 1


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_users",
        method="GET",
        path="/api/v1/users",
        handler=users,
        summary="List users, by id.",
        scope=READ,
        query=(
            Query(name="username", about="Exactly this username."),
            Query(name="email", about="Exactly this email address."),
            Query(name="external_id", about="Exactly this id of your platform."),
            Query(name="role", about="Only this role."),
            Query(
                name="search",
                about="A whole username, email or phone number, or the first three letters or more"
                " of each word of a name.",
            ),
            *PAGE_QUERY,
        ),
        responses={200: UserList},
    ),
    Route(
        name="put_users",
        method="POST",
        path="/api/v1/users/bulk",
        handler=put_users,
        summary="Make or change up to 10,000 users, as JSON or as lines of JSON; safe to repeat.",
        scope=WRITE,
        body=UsersBody,
        reads_body=True,
        responses={200: UsersResponse},
        idempotent=True,
    ),
    Route(
        name="get_user",
        method="GET",
        path="/api/v1/users/{id}",
        handler=user,
        summary="Get one user, with contact points and groups.",
        service_scope=READ,
        responses={200: UserResponse},
        errors=(400, 404),
    ),
    Route(
        name="put_user",
        method="PUT",
        path="/api/v1/users/{id}",
        handler=put_user,
        summary="Make or change the user with this UUID, or `ext:` and external_id.",
        scope=WRITE,
        body=UserBody,
        responses={200: UserResponse, 201: UserResponse},
        errors=(409,),
    ),
    Route(
        name="delete_user",
        method="DELETE",
        path="/api/v1/users/{id}",
        handler=delete_user,
        summary="Erase a user, as `POST /api/v1/privacy/users/{id}/erase` does.",
        scope=ERASE,
        query=(
            Query(
                name="reason",
                about="Why; it is in the certificate and in the audit log.",
                default="DELETE of the user",
                longest=200,
            ),
        ),
        responses={202: ErasureResponse},
        errors=(400, 404, 409),
    ),
)
