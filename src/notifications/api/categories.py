"""Categories."""

from __future__ import annotations

from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.preferences.categories import CategoryService
from notifications.features.preferences.category_body import CategoryAnswer, CategoryList


def categories(request: ApiRequest) -> CategoryList:
    page = page_of(request)
    found = CategoryService().list(after=page.after, limit=page.fetch)
    following, previous = links(request, page, [row.id for row in found])
    return CategoryList(results=found[: page.limit], next=following, previous=previous)


def category(request: ApiRequest) -> CategoryAnswer:
    return CategoryService().get(identifier=request.params["id"])


def create(request: ApiRequest) -> CategoryAnswer:
    return CategoryService().create(body=request.body, caller=request.caller)


def change(request: ApiRequest) -> CategoryAnswer:
    return CategoryService().change(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    CategoryService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None
