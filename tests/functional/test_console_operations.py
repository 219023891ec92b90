"""Analytics, records and plans of the console in real Chromium, narrow and wide."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.clients.pages import violations
from tests.functional.test_browser import pytestmark  # noqa: F401
from tests.functional.test_console import SIZES, Console, console  # noqa: F401
from tests.functional.test_sign_in import shot

_ROWS = """
from datetime import timedelta
from directory.models import Segment, User
from notifications.infra import clock
from notifications.models import (
    ApiKey, AuditLeaf, Category, Erasure, LegalHold, ScheduleSeries, StatusEvent,
    WebhookDelivery, WebhookEndpoint)
now = clock.now()
hook = WebhookEndpoint.objects.create(
    name="billing", url="https://hooks.example.com/" + "x" * 90, created_by="user:1",
    secrets=[{"secret": "whsec_x", "until": None}], created_at=now, updated_at=now)
event = StatusEvent.objects.create(kind="message.failed", message_id=1, at=now)
WebhookDelivery.objects.create(
    endpoint_id=hook.pk, event_id=event.pk, state="failed", tries=3, created_at=now,
    error="connection refused")
key = ApiKey.make(name="billing", scopes=["notifications:send", "notifications:read"])[0]
series = ScheduleSeries.objects.create(
    source="key:1", created_by="key:1", type="reminder", priority=3, channels=["email"],
    category_id=Category.objects.get(key="course").pk, created_at=now, zone="Europe/Berlin",
    misfire="skip", grace_s=0, text={"title": "Weekly report"}, rule="FREQ=WEEKLY;BYDAY=MO")
segment = Segment.objects.create(
    name="Teachers", criteria={"field": "role", "op": "eq", "value": "teacher"})
LegalHold.objects.create(user_id=1, reason="case 17/2030", actor="user:1", created_at=now)
erased = Erasure.objects.create(
    user_id=999999, state="done", reason="request", actor="user:1", requested_at=now, next_at=now,
    removed={"notifications": 12})
admin = User.objects.filter(staff_role="admin").first().pk
category = Category.objects.get(key="course").pk
leaf = AuditLeaf.objects.filter(first_message=None).order_by("-pk").first().pk
print(hook.pk, key.pk, series.pk, segment.pk, erased.uuid, admin, category, leaf)
"""
PAGES = (
    "analytics:/console/analytics/?report=channels",
    "analytics-engagement:/console/analytics/?report=engagement",
    "analytics-failures:/console/analytics/?report=failures",
    "audit:/console/audit/",
    "audit-entry:/console/audit/{7}/",
    "webhooks:/console/webhooks/",
    "webhook:/console/webhooks/{0}/",
    "keys:/console/keys/",
    "key:/console/keys/{1}/",
    "staff:/console/staff/",
    "member:/console/staff/{5}/",
    "schedules:/console/schedules/",
    "schedule:/console/schedules/{2}/",
    "categories:/console/categories/",
    "category:/console/categories/{6}/",
    "category-form:/console/categories/{6}/edit/",
    "segments:/console/segments/",
    "segment-form:/console/segments/{3}/edit/",
    "segment:/console/segments/{3}/?show=people",
    "retention:/console/retention/",
    "holds:/console/retention/holds/",
    "erasures:/console/retention/erasures/",
    "certificate:/console/retention/erasures/{4}/",
)


@pytest.fixture(scope="module")
def keys(console: Console) -> list[str]:  # noqa: F811 -- the fixture of the other module
    """Makes a row for each page; returns their keys in the order of the URLs."""
    return console.place.python(_ROWS).split()


def test_every_page_fits_and_axe_finds_nothing(
    console: Console,  # noqa: F811
    keys: list[str],
) -> None:
    """Each page is loaded once, on a wide light screen; then it becomes narrow and dark."""
    context = console.open(reduced_motion="reduce")
    page = context.new_page()
    wrong: dict[str, Any] = {}
    for named in PAGES:
        name, _, path = named.partition(":")
        page.set_viewport_size(_size("wide"))
        page.emulate_media(color_scheme="light")
        answer = page.goto(console.home + path.format(*keys), wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        for size, scheme in (("wide", "light"), ("narrow", "dark")):
            page.set_viewport_size(_size(size))
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its names
            shot(page, f"console-{name}-{size}-{scheme}")
            found = violations(page)
            over = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
            if found or over > 0:
                wrong[f"{name} {size}"] = (found, over)
    context.close()
    assert wrong == {}


def _size(name: str) -> ViewportSize:
    width, height = SIZES[name]
    return {"width": width, "height": height}


def test_a_point_of_the_picture_leads_to_its_notifications(console: Console) -> None:  # noqa: F811
    context = console.open()
    page = context.new_page()
    page.goto(console.url("/console/analytics/?report=channels"))
    over = page.locator("throughput-chart .u-over")
    expect(over).to_be_visible()
    box = over.bounding_box()
    assert box is not None
    over.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
    page.wait_for_url("**/console/notifications?from=*")
    expect(page.locator("#results table tbody tr").first).to_be_visible()
    context.close()


def test_a_key_is_issued_and_revoked_without_scripts(console: Console) -> None:  # noqa: F811
    context = console.open(java_script_enabled=False)
    page = context.new_page()
    page.goto(console.url("/console/keys/"))
    form = page.get_by_role("region", name="Issue a key")
    form.get_by_label("What it is for").fill("by hand")
    form.get_by_label("notifications:read").check()
    form.get_by_role("button").click()
    expect(page.locator("pre")).to_contain_text("ck_live_")
    page.get_by_role("link", name="Go on").click()
    page.get_by_role("link", name="by hand").click()
    page.get_by_text("Revoke", exact=True).click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_role("status")).to_contain_text("The key was revoked.")
    context.close()
