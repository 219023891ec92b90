"""The source document's table `notification_campaigns`, and its tasks on campaigns, by name."""

from __future__ import annotations

from typing import Any

import pytest

from directory.models import User
from notifications.models import Notification
from tests.integration.api.conftest import with_key
from tests.integration.campaigns.factories import go_on, make_news, make_segment
from tests.integration.factories import make_user

__all__ = ["with_key"]
pytestmark = pytest.mark.django_db
URL = "/api/v1/campaigns"


class TestNotificationCampaigns:
    """Each column of the documented table: where it is, and what it holds."""

    @pytest.fixture
    def learners(self, frozen: Any) -> list[User]:
        return [make_user(role="student", locale=locale) for locale in ("en", "en", "ru")]

    def test_notification_campaigns(self, learners: list[User], with_key: Any) -> None:
        template = make_news("campaigns.newsletter.weekly")
        target_audience = {"field": "role", "op": "eq", "value": "student"}
        client = with_key("broadcasts")
        row = client.post(
            URL,
            {
                "name": "Weekly newsletter",
                "description": "Newsletter and marketing automation",
                "template_path": template.path,
                "channels": ["email"],
                "audience": {"rule": "segment", "criteria": target_audience},
                "scheduled_at": "2030-05-01T13:00:00Z",
                "context": {"month": "May"},
            },
            format="json",
        ).json()
        assert (row["name"], row["description"]) == (
            "Weekly newsletter",
            "Newsletter and marketing automation",
        )
        assert (row["template_path"], row["channels"]) == (template.path, ["email"])
        assert row["audience"]["criteria"] == target_audience
        assert (row["estimated_recipients"], row["status"]) == (3, "draft")
        assert row["created_at"] == "2030-05-01T12:00:00Z"
        assert row["updated_at"]

        one = f"{URL}/{row['id']}"
        client.post(f"{one}/schedule", {}, format="json")
        assert client.get(one).json()["status"] == "scheduled"

    def test_batch_processing_and_campaigns(
        self, learners: list[User], with_key: Any, frozen: Any
    ) -> None:
        """Segmentation, and the counters sent, delivered, opened and clicked."""
        make_news("campaigns.newsletter.weekly")
        russian = make_segment("Russian", field="locale", op="eq", value="ru")
        client = with_key("broadcasts")
        body = {
            "name": "Weekly newsletter",
            "template_path": "campaigns.newsletter.weekly",
            "channels": ["in_app"],
            "audience": {"rule": "all_students"},
            "exclude": [str(russian.uuid)],
            "context": {"month": "May"},
        }
        one = f"{URL}/{client.post(URL, body, format='json').json()['id']}"
        client.post(f"{one}/launch", {}, format="json")
        go_on()
        go_on()
        messages = client.get(f"{one}/report").json()["messages"]
        assert (messages["sent"], messages["delivered"]) == (2, 2)
        assert (messages["opened"], messages["clicked"]) == (0, 0)
        assert Notification.objects.filter(user_id=learners[2].pk).count() == 0
