"""The URL patterns, made from the route table, and those of the OpenAPI document and its page."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from notifications.api.bodies import read_query
from notifications.api.route import Query
from notifications.api.routes import ROUTES
from notifications.api.views import paths_of, view_of


def pattern_of(route_path: str) -> str:
    """Returns a route's path as Django writes it: `/jobs/{job_id}` is `jobs/<str:job_id>`."""
    return route_path.removeprefix("/").replace("{", "<str:").replace("}", ">")


_DOCUMENT_QUERY = (
    Query(name="format", about="`json` or `yaml`.", choices=("json", "yaml")),
    Query(name="lang", about="The language of the document."),
    Query(name="version", about="The version of the API."),
    Query(name="script", about="Returns the page's own script instead of the page."),
)


class _Documents:
    """Refuses query parameters that the document and its page do not read, as every route does."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        given = QueryDict(request.META.get("QUERY_STRING", ""), mutable=True)
        if given.get("script") == "":  # as the page itself requests it
            del given["script"]
        read_query(given, _DOCUMENT_QUERY)
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # of the view beside it


class DocumentView(_Documents, SpectacularAPIView):
    """`/api/schema`."""


class DocsView(_Documents, SpectacularSwaggerSplitView):
    """`/api/docs`."""


urlpatterns: list[URLPattern] = [
    path(pattern_of(route_path), view_of(routes).as_view(), name=routes[0].name)
    for route_path, routes in paths_of(ROUTES).items()
]
urlpatterns += [
    path("api/schema", DocumentView.as_view(authentication_classes=[]), name="schema"),
    path(
        "api/docs",
        DocsView.as_view(url_name="schema", authentication_classes=[]),
        name="docs",
    ),
]
