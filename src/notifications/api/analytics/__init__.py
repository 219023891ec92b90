"""Routes of metrics, reports, goals, events and A/B tests."""

from __future__ import annotations

from notifications.api.analytics.ab_tests import ROUTES as AB_TEST_ROUTES
from notifications.api.analytics.goals import ROUTES as GOAL_ROUTES
from notifications.api.analytics.metrics import ROUTES as METRIC_ROUTES
from notifications.api.route import Route

ROUTES: tuple[Route, ...] = (*METRIC_ROUTES, *GOAL_ROUTES, *AB_TEST_ROUTES)
