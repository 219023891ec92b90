"""URL patterns, made from the route table; the OpenAPI document and its browsable page."""

from __future__ import annotations

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from notifications.api.routes import ROUTES
from notifications.api.views import paths_of, view_of


def pattern_of(route_path: str) -> str:
    """Django's form of a route's path: `/jobs/{job_id}` is `jobs/<str:job_id>`."""
    return route_path.removeprefix("/").replace("{", "<str:").replace("}", ">")


urlpatterns: list[URLPattern] = [
    path(pattern_of(route_path), view_of(routes).as_view(), name=routes[0].name)
    for route_path, routes in paths_of(ROUTES).items()
]
urlpatterns += [
    path("api/schema", SpectacularAPIView.as_view(authentication_classes=[]), name="schema"),
    path(
        "api/docs",
        SpectacularSwaggerSplitView.as_view(url_name="schema", authentication_classes=[]),
        name="docs",
    ),
]
