"""The documented tests of UserPreferenceService, under their documented names.

The quiet-hours test adds an instant inside the window: 18:00 in New York is outside.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from unittest.mock import patch

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections

from directory.models import User
from notifications.features.preferences.documented import _cache
from notifications.models import NotificationCategoryPreference, UserNotificationPreference
from notifications.services import PreferenceService, UserPreferenceService
from tests.integration.factories import make_user
from tests.integration.preferences.test_service import own

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _closed_connections():
    yield
    # Database work ran on asgiref's thread, whose connection outlives the test.
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@sync_to_async
def person(**values) -> User:
    user = make_user(email="test@example.com", timezone="America/New_York")
    UserNotificationPreference.objects.create(user=user, data_processing_consent=True, **values)
    return user


class TestUserPreferenceService:
    service = UserPreferenceService()

    async def test_should_send_notification_respect_global_preferences(self):
        user = await person(notifications_enabled=False)

        assert not await self.service.should_send_notification(user, "push", "course", priority=4)
        assert await self.service.should_send_notification(user, "push", "course", priority=1)

    async def test_a_channel_that_does_not_exist_gets_nothing(self):
        user = await person(notifications_enabled=True)

        for priority in (1, 3):
            assert not await self.service.should_send_notification(user, "fax", "course", priority)
        assert not await self.service.should_send_notification(user, "")
        assert await self.service.should_send_notification(user, "email")

    async def test_quiet_hours_enforcement(self):
        user = await person(
            notifications_enabled=True,
            quiet_hours_enabled=True,
            quiet_hours_start=time(22, 0),
            quiet_hours_end=time(8, 0),
        )
        send = self.service.should_send_notification

        with patch("django.utils.timezone.now") as mock_now:
            mock_now.return_value = datetime(2023, 1, 2, 4, 0, tzinfo=UTC)  # 23:00 in New York
            assert not await send(user, "push", "marketing", priority=3)
            assert not await send(user, "push", "course", priority=3)
            assert await send(user, "push", "security", priority=1)

            mock_now.return_value = datetime(2023, 1, 1, 23, 0, tzinfo=UTC)  # 18:00 there
            assert await send(user, "push", "course", priority=3)


class TestMoreOfTheService:
    service = UserPreferenceService()

    async def test_preferences_are_shown_by_their_documented_names(self):
        user = await person(digest_frequency="daily")
        await NotificationCategoryPreference.objects.acreate(
            user=user, category="course", push_enabled=False
        )

        shown = await self.service.get_user_preferences(user)

        assert shown["global"]["quiet_hours_start"] == "22:00:00"
        assert shown["global"]["data_processing_consent"] is True
        assert shown["global"]["digest_frequency"] == "daily"
        assert shown["categories"]["course"]["push_enabled"] is False
        assert "consent_given_at" not in shown["global"]

    async def test_a_change_counts_at_once_and_nothing_needs_to_be_invalidated(self):
        user = await person()
        shown = await self.service.get_user_preferences(user)
        assert shown["global"]["email_enabled"] is True

        await UserNotificationPreference.objects.filter(user=user).aupdate(email_enabled=False)

        shown = await self.service.get_user_preferences(user)
        assert shown["global"]["email_enabled"] is False
        assert not await self.service.should_send_notification(user, "email", "course")

    async def test_the_cached_preferences_can_be_invalidated(self):
        user = await person()
        shown = await self.service.get_user_preferences(user)
        shown["global"]["email_enabled"] = "mine to change"
        assert user.pk in _cache

        await self.service.invalidate_user_preferences(user)
        await self.service.invalidate_user_preferences(user)

        assert user.pk not in _cache

    @pytest.mark.parametrize(
        ("channel", "category", "priority", "expected"),
        [
            ("email", None, 3, True),
            ("email", "no such category", 3, True),
            ("sms", "course", 2, False),
            ("sms", "course", 1, True),
            ("email", "marketing", 1, False),
        ],
    )
    async def test_a_user_without_choices_gets_the_defaults(
        self, channel, category, priority, expected
    ):
        user = await sync_to_async(make_user)()

        answer = await self.service.should_send_notification(user, channel, category, priority)

        assert answer is expected

    async def test_nothing_is_sent_to_an_inactive_user(self):
        user = await sync_to_async(make_user)(is_active=False)

        assert not await self.service.should_send_notification(user, "email", "course", priority=1)

    async def test_the_service_returns_the_same_as_the_api(self):
        user = await person(sms_enabled=True)
        shown = await self.service.get_user_preferences(user)

        answer = await sync_to_async(PreferenceService().get)(caller=own(user))

        assert shown["global"]["sms_enabled"] is answer.overall.sms_enabled is True
