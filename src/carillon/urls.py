"""The URLs of the project. Paths have no trailing slash: RequestMiddleware makes it optional."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from notifications.web import signing_in

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("notifications.web.urls")),
    path("", include("notifications.api.urls")),
    path("admin/login/", signing_in.login),
    path("admin/", admin.site.urls),
]

handler400 = "notifications.web.errors.bad_request"
handler403 = "notifications.web.errors.forbidden"
handler404 = "notifications.web.errors.not_found"
handler500 = "notifications.web.errors.server_error"
