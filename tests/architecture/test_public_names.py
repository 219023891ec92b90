"""The documented Python names can be imported from the documented modules."""

from __future__ import annotations

from importlib import import_module

import pytest
from click.testing import CliRunner

from carillon.cli import SUBCOMMANDS, carillon
from notifications.api.routes import ROUTES
from tests.architecture.test_budgets import ROOT

NAMES = {
    "notifications.queue": ["Priority", "NotificationMessage", "PriorityNotificationQueue"],
    "notifications.delivery.retry": ["ExponentialBackoffRetry"],
    "notifications.services": [
        "NotificationDeliveryEngine",
        "NotificationChannelProvider",
        "FCMPushProvider",
        "DeliveryResult",
    ],
    "notifications.rendering": [
        "NotificationTemplateEngine",
        "CachedTemplateEngine",
        "TemplateTrie",
        "PersonalizationService",
    ],
    "notifications.models": ["Notification", "NotificationMessage", "DeliveryAttempt"],
    "notifications.tasks": ["deliver", "maintain"],
}


@pytest.mark.parametrize("module", NAMES)
def test_documented_names_are_importable(module):
    found = import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []


def test_celery_finds_its_tasks_by_name():
    app = import_module("carillon").celery_app
    app.loader.import_default_modules()
    assert {"notifications.tasks.deliver", "notifications.tasks.maintain"} <= set(app.tasks)
    assert [queue.name for queue in app.conf.task_queues] == ["critical", "high", "default", "bulk"]


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(carillon, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"Example: carillon {name}" in result.output.replace("\n", " ").replace("  ", " ") or (
        name == "token" and "carillon token" in result.output
    )


def test_every_route_is_in_the_reference():
    page = (ROOT / "docs/reference/api.md").read_text()
    assert [route.path for route in ROUTES if route.path not in page] == []


def test_generated_pages_are_up_to_date():
    result = CliRunner().invoke(carillon, ["docs", "--check"])
    assert result.exit_code == 0, result.output
