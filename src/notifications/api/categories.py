"""Routes of categories."""

from __future__ import annotations

from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.features.preferences.categories import WRITE_SCOPE, CategoryService
from notifications.features.preferences.category_body import (
    CategoryBody,
    CategoryList,
    CategoryResponse,
)


def categories(request: ApiRequest) -> CategoryList:
    page = page_of(request)
    found = CategoryService().list(after=page.after, limit=page.fetch)
    following, previous = links(request, page, [row.id for row in found])
    return CategoryList(results=found[: page.limit], next=following, previous=previous)


def category(request: ApiRequest) -> CategoryResponse:
    return CategoryService().get(identifier=request.params["id"])


def create(request: ApiRequest) -> CategoryResponse:
    return CategoryService().create(body=request.body, caller=request.caller)


def change(request: ApiRequest) -> CategoryResponse:
    return CategoryService().change(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    CategoryService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


READ_SCOPE = "notifications:read"
ROUTES: tuple[Route, ...] = (
    Route(
        name="list_categories",
        method="GET",
        path="/api/v1/categories",
        handler=categories,
        summary="List categories with the legal basis of each.",
        service_scope=READ_SCOPE,
        query=PAGE_QUERY,
        responses={200: CategoryList},
    ),
    Route(
        name="make_category",
        method="POST",
        path="/api/v1/categories",
        handler=create,
        summary="Make a category.",
        scope=WRITE_SCOPE,
        body=CategoryBody,
        responses={201: CategoryResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_category",
        method="GET",
        path="/api/v1/categories/{id}",
        handler=category,
        summary="Get one category, by id or key.",
        service_scope=READ_SCOPE,
        responses={200: CategoryResponse},
        errors=(404,),
    ),
    Route(
        name="change_category",
        method="PUT",
        path="/api/v1/categories/{id}",
        handler=change,
        summary="Change a category; a field that is left out stays as it is.",
        scope=WRITE_SCOPE,
        body=CategoryBody,
        responses={200: CategoryResponse},
        errors=(404,),
    ),
    Route(
        name="delete_category",
        method="DELETE",
        path="/api/v1/categories/{id}",
        handler=delete,
        summary="Delete a category; those that the service itself uses cannot be deleted.",
        scope=WRITE_SCOPE,
        responses={204: None},
        errors=(404, 409),
    ),
)
