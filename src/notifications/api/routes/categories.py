"""Categories."""

from __future__ import annotations

from notifications.api import categories
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Route
from notifications.features.preferences.categories import WRITE_SCOPE
from notifications.features.preferences.category_body import (
    CategoryAnswer,
    CategoryBody,
    CategoryList,
)

READ_SCOPE = "notifications:read"

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_categories",
        method="GET",
        path="/api/v1/categories",
        handler=categories.categories,
        summary="The kinds of notification, and on what ground each is sent.",
        service_scope=READ_SCOPE,
        query=PAGE_QUERY,
        answers={200: CategoryList},
    ),
    Route(
        name="make_category",
        method="POST",
        path="/api/v1/categories",
        handler=categories.create,
        summary="Make a category.",
        scope=WRITE_SCOPE,
        body=CategoryBody,
        answers={201: CategoryAnswer},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_category",
        method="GET",
        path="/api/v1/categories/{id}",
        handler=categories.category,
        summary="One category, by id or key.",
        service_scope=READ_SCOPE,
        answers={200: CategoryAnswer},
        errors=(404,),
    ),
    Route(
        name="change_category",
        method="PUT",
        path="/api/v1/categories/{id}",
        handler=categories.change,
        summary="Change a category; what is left out stays as it is.",
        scope=WRITE_SCOPE,
        body=CategoryBody,
        answers={200: CategoryAnswer},
        errors=(404,),
    ),
    Route(
        name="delete_category",
        method="DELETE",
        path="/api/v1/categories/{id}",
        handler=categories.delete,
        summary="Retire a category; those that the service itself uses stay.",
        scope=WRITE_SCOPE,
        answers={204: None},
        errors=(404, 409),
    ),
)
