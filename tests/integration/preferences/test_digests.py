"""Digests: collected by period, closed once, sent as one message."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.lifecycle import MessageStatus
from notifications.features.upkeep.digests import LISTED, close_due, ensure_digest_template
from notifications.features.upkeep.maintenance import maintain
from notifications.models import (
    DigestBucket,
    DigestItem,
    Notification,
    NotificationMessage,
    NotificationTemplate,
    SandboxMessage,
    UserNotificationPreference,
)
from notifications.policy.facts import DIGEST_SOURCE
from notifications.rendering.render import LINK_VARIABLES
from notifications.rendering.texts import digest_texts
from notifications.rendering.versions import version_of
from notifications.services import NotificationService
from notifications.tasks import close_digests
from tests.integration.factories import make_template, make_user, make_willing_user
from tests.integration.preferences.conftest import events, message, send, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stopped")]


def gatherer(frequency="hourly", **values):
    user = make_user(**values)
    UserNotificationPreference.objects.create(user=user, digest_frequency=frequency)
    return user


def close_all(frozen):
    """Moves to the end of the last period and closes open digests; returns how many."""
    frozen.now = max([frozen.now, *DigestBucket.objects.values_list("closes_at", flat=True)])
    return close_due(now=frozen.now)


def outbox():
    return [stored.content for stored in SandboxMessage.objects.order_by("id")]


def test_a_digest_is_sent_as_one_message_when_its_period_ends(frozen):
    make_template()
    user = gatherer(first_name="Grace")
    responses = [send(user, context={"amount": n}) for n in (1, 2)] + [
        send(user, category="course")
    ]

    work()
    assert {message(response).status for response in responses} == {"digested"}
    assert events(responses[0]) == [("digested", "digest_hourly")]
    assert close_due(now=frozen.now) == 0
    assert outbox() == []

    assert close_all(frozen) == 1
    work()

    (sent,) = outbox()
    assert sent["title"] == "Your updates from Carillon"
    assert "Hello Grace, here is what happened: 3 in all." in sent["body"]
    assert "Payment (2)" in sent["body"]
    assert "- About 2: Hello Grace: 2" in sent["body"]
    assert "Course (1)" in sent["body"]
    assert "About 1" in sent["html"]
    assert close_all(frozen) == 0


def test_folded_messages_point_to_their_digest(frozen):
    make_template()
    response = send(gatherer("daily"))
    work()
    (story,) = NotificationService().explain(identifier=response.id, caller=SYSTEM).messages
    assert story.digest.id is None
    assert (story.status, story.steps[-1].outcome) == ("digested", "digest_daily")

    close_all(frozen)

    (story,) = NotificationService().explain(identifier=response.id, caller=SYSTEM).messages
    digest = Notification.objects.get(source=DIGEST_SOURCE)
    assert story.digest.id == digest.uuid
    assert story.digest.period == DigestBucket.objects.get().period
    assert NotificationService().status(identifier=response.id, caller=SYSTEM).status == "digested"


def test_there_is_one_bucket_per_user_channel_and_period(frozen):
    make_template()
    first, second = gatherer(), gatherer()
    for user in (first, second):
        send(user, channels=["email", "in_app"])
        send(user, channels=["email", "in_app"])
    work()
    assert DigestBucket.objects.count() == 4
    assert DigestItem.objects.count() == 8

    frozen.forward(3600)
    send(first)
    work()
    assert DigestBucket.objects.count() == 5


def test_urgent_messages_are_never_digested():
    make_template()
    user = gatherer("weekly")
    responses = [send(user, priority=1), send(user, priority="high"), send(user, priority=3)]

    work()

    assert [message(response).status for response in responses] == ["sent", "sent", "digested"]


def test_the_frequency_never_means_inbox_only():
    make_template()
    user = gatherer("never")

    response = send(user, channels=["email", "in_app"])
    work()

    assert events(response) == [("suppressed", "digest_never")]
    assert message(response, "in_app").status == "delivered"
    assert send(user)  # no refusal: the notification itself is in the inbox


def test_a_digest_is_not_digested_again_but_waits_for_the_end_of_quiet_hours(frozen):
    make_template()
    user = gatherer()
    send(user)
    work()
    UserNotificationPreference.objects.update(dnd_until=frozen.now + timedelta(hours=3))

    close_all(frozen)
    work()
    assert outbox() == []
    frozen.forward(3 * 3600)
    work()

    assert len(outbox()) == 1
    assert DigestBucket.objects.count() == 1


def test_an_item_for_a_closed_digest_goes_into_the_next(frozen):
    make_template()
    user = gatherer()
    send(user)
    work()
    late = send(user)
    bucket = DigestBucket.objects.get()
    DigestBucket.objects.update(closed_at=frozen.now)

    work()
    assert message(late).status == "pending"
    assert events(late) == [("deferred", "digest_closed")]
    assert message(late).scheduled_at == bucket.closes_at

    frozen.now = bucket.closes_at
    work()
    assert message(late).status == "digested"
    assert DigestItem.objects.get(message_id=message(late).pk).bucket_id != bucket.pk


def test_a_bucket_without_items_sends_nothing(frozen):
    make_template()
    send(gatherer())
    work()
    DigestItem.objects.all().delete()

    assert close_all(frozen) == 1
    assert not DigestBucket.objects.exists()
    assert not Notification.objects.filter(source=DIGEST_SOURCE).exists()


def test_a_long_list_is_cut_and_counted(frozen):
    make_template()
    user = gatherer()
    for n in range(LISTED + 3):
        send(user, context={"amount": n})
    work()

    close_all(frozen)
    work()

    body = outbox()[0]["body"]
    assert f"Payment ({LISTED + 3})" in body
    assert body.count("- About") == LISTED
    assert "... and 3 more" in body


def test_test_messages_have_their_own_digest(frozen):
    make_template()
    user = gatherer()
    scopes = frozenset({"notifications:send"})
    send(user, caller=Caller(name="key:1", is_service=True, is_test=True, scopes=scopes))
    send(user)

    work()
    assert close_all(frozen) == 2

    digests = Notification.objects.filter(source=DIGEST_SOURCE)
    assert sorted(digests.values_list("is_test", flat=True)) == [False, True]


def test_a_cancelled_message_is_in_no_digest():
    make_template()
    response = send(gatherer())
    NotificationService().cancel(identifier=response.id, caller=SYSTEM)

    work()

    assert message(response).status == MessageStatus.CANCELLED
    assert not DigestItem.objects.exists()
    assert not DigestBucket.objects.exists()


def test_the_digest_is_in_the_users_language(frozen):
    make_template()
    send(gatherer(locale="ru_RU", first_name="Анна"))
    work()
    close_all(frozen)
    work()

    assert outbox()[0]["title"] == "Ваши новости от Carillon"


def test_the_digest_template_covers_every_channel_of_a_user():
    template = ensure_digest_template()

    version = version_of(template.current_version_id)
    assert set(version.channels) == set(digest_texts.CHANNELS)
    assert version.locales == ["en", "ru"]
    item = {"title": "Hello", "text": "Grace"}
    groups = [{"key": "course", "name": "Course", "count": 2, "more": 1, "items": [item]}]
    context = {"count": 2, "groups": groups, "app_name": "School", "app_url": "https://s.example"}
    context |= {"user": {"first_name": "Ada", "timezone": "UTC"}}
    for locale in ("en", "ru"):
        shown = {
            channel: version.render(channel=channel, locale=locale, context=dict(context))
            for channel in digest_texts.CHANNELS
        }
        assert "Hello: Grace" in shown["email"].body
        assert "Hello" in shown["in_app"].body
        assert "2" in shown["sms"].body
        assert all(content.title for channel, content in shown.items() if channel != "sms")
        known = {"count", "groups", "frequency", "user", "app_name", "app_url", *LINK_VARIABLES}
        assert version.variables() <= known


def test_a_deleted_digest_template_is_created_again(frozen):
    NotificationTemplate.objects.filter(path=digest_texts.PATH).update(current_version=None)
    NotificationTemplate.objects.filter(path=digest_texts.PATH).delete()
    make_template()
    send(gatherer())
    work()

    assert close_all(frozen) == 1
    assert NotificationTemplate.objects.get(path=digest_texts.PATH).current_version is not None


def test_the_schedule_closes_what_is_due(frozen):
    make_template()
    send(gatherer())
    work()
    assert close_digests() == 0
    frozen.forward(3600)

    assert close_digests() == 1
    assert NotificationMessage.objects.filter(notification__source=DIGEST_SOURCE).count() == 1


def test_old_digests_are_deleted_with_their_items(frozen):
    user = make_willing_user()
    rows = DigestBucket.objects.bulk_create(
        DigestBucket(
            user=user,
            channel="email",
            frequency="daily",
            period=f"daily:{number}",
            closes_at=frozen.now,
            closed_at=closed,
            created_at=frozen.now,
        )
        for number, closed in enumerate(
            [frozen.now - timedelta(days=91), frozen.now - timedelta(days=89), None]
        )
    )
    DigestItem.objects.bulk_create(
        DigestItem(
            bucket=row,
            message_id=row.pk,
            notification_id=row.pk,
            category_id=1,
            summary={"title": "a", "body": "b"},
            at=frozen.now,
        )
        for row in rows
    )

    done = maintain()

    assert done["digests_deleted"] == 1
    assert not DigestItem.objects.filter(bucket=rows[0].pk).exists()
    assert set(DigestBucket.objects.values_list("period", flat=True)) >= {"daily:1", "daily:2"}


def test_a_digest_uses_the_published_template():
    first = ensure_digest_template()
    version = first.current_version_id
    assert ensure_digest_template().current_version_id == version
    NotificationTemplate.objects.filter(pk=first.pk).update(current_version=None)
    assert ensure_digest_template().current_version_id not in (None, version)
