"""The addresses of mailing lists."""

from __future__ import annotations

from django.urls import URLPattern

from console.guard import console_path
from console.lists import views

urlpatterns: list[URLPattern] = [
    console_path(
        "console/lists", views.lists, name="console-lists", methods=("GET", "HEAD", "POST")
    ),
    console_path("console/lists/<int:number>", views.one_list, name="console-list"),
    console_path(
        "console/lists/<int:number>/<str:action>",
        views.list_action,
        name="console-list-action",
        methods=("POST",),
    ),
]
