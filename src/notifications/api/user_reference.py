"""The user that a request names: by `user_id` or `external_id`, in its query or its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from directory.references import LONGEST_EXTERNAL_ID, PersonKey
from notifications.api.route import ApiRequest, Query
from notifications.features.access.persons import read_person_key

USER_QUERY = (
    Query(
        name="user_id",
        about="The user: an integer id, a UUID, or `ext:` and your id; left out, the caller.",
    ),
    Query(
        name="external_id",
        about="The user by your external_id alone.",
        longest=LONGEST_EXTERNAL_ID,
    ),
)


class NamesUser(Protocol):
    """A body with both fields."""

    user_id: int | str | None
    external_id: str | None


def user_in_query(request: ApiRequest) -> PersonKey | None:
    """Returns the user that the query names; None for the caller.

    Raises:
        InvalidRequest: invalid_user, invalid_external_id, or both are given.
    """
    return user_named_by(request.query)


def user_named_by(query: Mapping[str, Any]) -> PersonKey | None:
    """Returns the user that the parameters of USER_QUERY name; see `user_in_query`."""
    user_id, external_id = (query[each.name] or None for each in USER_QUERY)
    return read_person_key(user_id, external_id, written=True)


def user_in_body(body: NamesUser) -> PersonKey | None:
    """Returns the user that the body names; None for the caller.

    Raises:
        InvalidRequest: invalid_user, invalid_external_id, or both are given.
    """
    return read_person_key(body.user_id, body.external_id)
