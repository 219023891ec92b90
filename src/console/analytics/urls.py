"""The addresses of the page of reports."""

from __future__ import annotations

from django.urls import URLPattern

from console.analytics import views
from console.guard import console_path

URLS: list[URLPattern] = [
    console_path("console/analytics", views.analytics, name="console-analytics"),
    console_path("console/analytics/csv", views.as_csv, name="console-analytics-csv"),
]
