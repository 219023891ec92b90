"""The URLs of the project. Paths have no trailing slash: RequestMiddleware makes it optional."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    # First: patterns are tried in order, and a request to the API would try those of all pages.
    path("", include("notifications.api.urls")),
    path("", include("notifications.web.urls")),
    path("", include("notifications.web.account.urls")),
    path("", include("console.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "notifications.web.errors.bad_request"
handler403 = "notifications.web.errors.forbidden"
handler404 = "notifications.web.errors.not_found"
handler500 = "notifications.web.errors.server_error"
