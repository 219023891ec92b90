"""A retry of a campaign whose channels are learned."""

from __future__ import annotations

import pytest

from notifications.domain.lifecycle import MessageStatus
from notifications.features.broadcasts import actions
from notifications.infra import clock
from notifications.models import Notification
from tests.integration.broadcasts.factories import maintain, settle_messages
from tests.integration.campaigns.factories import act, make_campaign
from tests.integration.factories import make_user
from tests.integration.learning.conftest import known

pytestmark = pytest.mark.django_db


def test_a_retry_keeps_the_learned_order_of_each_person(sure, frozen):
    reader, other = (make_user(role="student") for _ in range(2))
    known(reader, "in_app", {60: (9, 8)})
    known(reader, "email", {60: (9, 1)})
    made = make_campaign(
        channels=["email", "in_app"],
        delivery="first",
        channel_choice="learned",
    )
    act("launch", made)
    sent = made.broadcasts.get()
    maintain(sent)
    settle_messages(sent, MessageStatus.FAILED, [reader.pk, other.pk], error="no")
    maintain(sent)
    assert actions.retry(sent.pk, now=clock.now()) == 2
    maintain(sent)
    rows = Notification.objects.values_list("user_id", "options")
    found = {user: (each["fallback"], "retry_policy" in each) for user, each in rows}
    assert found == {reader.pk: (["email"], True), other.pk: (["in_app"], True)}
