"""The addresses of schedules, categories, segments, and storage by age."""

from __future__ import annotations

from django.urls import URLPattern

from console.guard import console_path
from console.plans import (
    categories,
    category_editor,
    erasures,
    retention,
    schedules,
    segment_editor,
    segments,
)

_BOTH = ("GET", "HEAD", "POST")
_POST = ("POST",)
_CATEGORY = "console/categories/<int:number>"
_SEGMENT = "console/segments/<int:number>"
_ERASURE = "console/retention/erasures/<str:identifier>"
URLS: list[URLPattern] = [
    console_path("console/schedules", schedules.schedules, name="console-schedules"),
    console_path(
        "console/schedules/<int:number>",
        schedules.schedule,
        name="console-schedule",
        methods=_BOTH,
    ),
    console_path("console/categories", categories.categories, name="console-categories"),
    console_path(
        "console/categories/new",
        category_editor.new_category,
        name="console-category-new",
        methods=_BOTH,
    ),
    console_path(_CATEGORY, categories.category, name="console-category"),
    console_path(
        f"{_CATEGORY}/edit",
        category_editor.edit_category,
        name="console-category-edit",
        methods=_BOTH,
    ),
    console_path(
        f"{_CATEGORY}/delete", categories.delete, name="console-category-delete", methods=_POST
    ),
    console_path("console/segments", segments.segments, name="console-segments"),
    console_path(
        "console/segments/new",
        segment_editor.new_segment,
        name="console-segment-new",
        methods=_BOTH,
    ),
    console_path(_SEGMENT, segments.segment, name="console-segment"),
    console_path(
        f"{_SEGMENT}/edit",
        segment_editor.edit_segment,
        name="console-segment-edit",
        methods=_BOTH,
    ),
    console_path(
        f"{_SEGMENT}/delete", segments.delete, name="console-segment-delete", methods=_POST
    ),
    console_path("console/retention", retention.retention, name="console-retention"),
    console_path("console/retention/holds", retention.holds, name="console-holds", methods=_BOTH),
    console_path("console/retention/erasures", erasures.erasures, name="console-erasures"),
    console_path(_ERASURE, erasures.certificate, name="console-certificate"),
    console_path(f"{_ERASURE}/file", erasures.as_file, name="console-certificate-file"),
]
