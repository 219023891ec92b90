"""Nothing is begun, approved or overwritten that the visitor did not see."""

from __future__ import annotations

import pytest

from notifications.models import Broadcast, Campaign, NotificationTemplate
from tests.integration.campaigns.factories import make_campaign
from tests.integration.console.conftest import As
from tests.integration.console.pressing import hidden_fields, press
from tests.integration.console.test_actions import post
from tests.integration.console.test_broadcasts import NEW, form, make_class

pytestmark = pytest.mark.django_db
CHANGED = "it was changed since you opened the page"


def test_a_broadcast_is_approved_and_begun_only_as_it_was_read(as_role: As) -> None:
    author, other = as_role("operator"), as_role("operator")
    post(author, NEW, **form(make_class()))
    row = Broadcast.objects.get()
    one = f"/console/broadcasts/{row.pk}"
    for action, status in (("send", "draft"), ("approve", "awaiting_approval")):
        Broadcast.objects.update(status=status, involved_user_ids=[], created_by=None)
        seen = hidden_fields(other, f"{one}/{action}")
        Broadcast.objects.update(message=f"Changed before {action}")
        assert CHANGED in post(other, f"{one}/{action}", **seen)
        assert "open the page again" in post(other, f"{one}/{action}")
        row.refresh_from_db()
        assert row.status == status
        assert "Not done" not in press(other, f"{one}/{action}")


def test_a_campaign_is_begun_only_with_the_texts_that_were_read(as_role: As) -> None:
    make_class()
    other, row = as_role("operator"), make_campaign()
    one = f"/console/campaigns/{row.pk}"
    seen = hidden_fields(other, f"{one}/launch")
    Campaign.objects.update(context={"month": "June"})
    assert CHANGED in post(other, f"{one}/launch", **seen)
    seen = hidden_fields(other, f"{one}/launch")
    version = NotificationTemplate.objects.get(path=row.template_path).current_version_id
    NotificationTemplate.objects.filter(path=row.template_path).update(current_version_id=None)
    for action in ("launch", "schedule", "approve"):
        assert CHANGED in post(other, f"{one}/{action}", **seen)
    NotificationTemplate.objects.filter(path=row.template_path).update(current_version_id=version)
    row.refresh_from_db()
    assert row.status == "draft"
    assert "Not done" not in press(other, f"{one}/launch")
