"""People, kept in step by the owning platform."""

from __future__ import annotations

from notifications.api import users
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Query, Route
from notifications.features.people.schemas import (
    UserAnswer,
    UserBody,
    UserList,
    UsersAnswer,
    UsersBody,
)
from notifications.features.people.service import READ, WRITE

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_users",
        method="GET",
        path="/api/v1/users",
        handler=users.users,
        summary="People, by id.",
        scope=READ,
        query=(
            Query(name="username", about="Exactly this username."),
            Query(name="email", about="Exactly this email address."),
            Query(name="external_id", about="Exactly this id of the platform's."),
            Query(name="role", about="Only this role."),
            Query(name="search", about="The beginning of a name, username or email."),
            *PAGE_QUERY,
        ),
        answers={200: UserList},
    ),
    Route(
        name="put_users",
        method="POST",
        path="/api/v1/users/bulk",
        handler=users.put_users,
        summary="Make or change up to 10,000 people, as JSON or as lines of JSON; safe to repeat.",
        scope=WRITE,
        body=UsersBody,
        reads_body=True,
        answers={200: UsersAnswer},
        idempotent=True,
    ),
    Route(
        name="get_user",
        method="GET",
        path="/api/v1/users/{id}",
        handler=users.user,
        summary="One person, with contact points and groups.",
        service_scope=READ,
        answers={200: UserAnswer},
        errors=(400, 404),
    ),
    Route(
        name="put_user",
        method="PUT",
        path="/api/v1/users/{id}",
        handler=users.put_user,
        summary="Make or change the person with this UUID, or `ext:` and external_id; what is left"
        " out stays as it is.",
        scope=WRITE,
        body=UserBody,
        answers={200: UserAnswer, 201: UserAnswer},
        errors=(409,),
    ),
    Route(
        name="delete_user",
        method="DELETE",
        path="/api/v1/users/{id}",
        handler=users.delete_user,
        summary="Remove a person with their contact points, devices and memberships.",
        scope=WRITE,
        answers={204: None},
        errors=(400, 404),
    ),
)
