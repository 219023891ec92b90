"""NotificationService and OperationsService, beyond what the tests of routes cover."""

from __future__ import annotations

import pytest

from directory.models import ContactPoint, Suppression
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, InvalidRequest, NotFound, Refused
from notifications.engine.runs import deliver_rows
from notifications.models import (
    DeadLetter,
    DeliveryBatch,
    Job,
    Notification,
    NotificationMessage,
    OperatorAction,
)
from notifications.queue import batches
from notifications.services import NotificationService, OperationsService
from tests.integration.factories import make_messages, make_template, make_user

pytestmark = pytest.mark.django_db
SERVICE = Caller(name="key:1", is_service=True, scopes=frozenset({"notifications:send"}))


def body(user, **more):
    return {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": "email",
        "context": {"amount": 5},
        **more,
    }


def send(user, caller=SYSTEM, **more):
    return NotificationService().send(body=body(user, **more), caller=caller)


def test_one_notification_has_a_message_for_each_channel_and_its_first_shares_its_key():
    make_template()
    response = send(make_user(), channel=None, channels=["in_app", "email"])

    notification = Notification.objects.get(uuid=response.id)
    messages = list(notification.messages.order_by("id"))

    assert [m.channel for m in messages] == ["in_app", "email"]
    assert messages[0].pk == notification.pk
    assert DeliveryBatch.objects.count() == 2


def test_all_errors_are_reported_at_once():
    with pytest.raises(InvalidRequest) as refused:
        NotificationService().send(
            body={"channel": "pigeon", "priority": 9, "extra": 1, "expires_at": "soon"},
            caller=SYSTEM,
        )

    assert {(error.path, error.code) for error in refused.value.errors} == {
        ("template_path", "required"),
        ("user_id", "required"),
        ("channel", "invalid_channel"),
        ("priority", "invalid_priority"),
        ("extra", "unknown_field"),
        ("expires_at", "invalid_time"),
    }


def test_a_callers_user_is_ignored_with_a_warning():
    make_template()
    user = make_user(first_name="Ada")

    response = send(user, channel="in_app", context={"amount": 1, "user": {"first_name": "Eve"}})

    assert response.warnings == ["context.user is ignored: Carillon fills it in from the directory"]
    (held,) = batches.lease(owner="w", lane="default", seconds=60)
    deliver_rows([held], owner="w")
    assert NotificationMessage.objects.get().body == "Hello Ada: 1"


def test_a_missing_variable_is_reported_and_nothing_is_written():
    make_template()

    with pytest.raises(InvalidRequest) as refused:
        send(make_user(), context={})

    assert refused.value.code == "missing_variable"
    assert "requires amount" in refused.value.detail
    assert not Notification.objects.exists()


@pytest.mark.parametrize(
    ("_case", "more", "scope"),
    [
        ("critical", {"priority": "critical"}, "priority:critical"),
        ("bypass", {"options": {"bypass_preferences": True}}, "preferences:bypass"),
    ],
)
def test_an_operation_with_a_special_scope_names_it(_case, more, scope):
    make_template()

    with pytest.raises(Refused) as refused:
        send(make_user(), SERVICE, **more)

    assert (refused.value.code, refused.value.data["scope"]) == ("missing_scope", scope)


def test_a_user_may_send_only_to_themselves():
    make_template()
    me, other = make_user(), make_user()
    caller = Caller(name=f"user:{me.pk}", user_id=me.pk)

    assert send(me, caller).status == "pending"
    with pytest.raises(Refused, match="only send to yourself"):
        send(other, caller)


def test_a_plain_address_can_be_notified_with_the_scope():
    make_template(required_variables=["amount"], email_body_template="Code 123")
    caller = Caller(
        name="key:2",
        is_service=True,
        scopes=frozenset({"notifications:send", "notifications:address"}),
    )
    request = {"template_path": "test.hello", "to": {"email": "New@Example.com"}}

    with pytest.raises(Refused, match="notifications:address"):
        NotificationService().send(body=request, caller=SERVICE)
    with pytest.raises(InvalidRequest, match="requires amount"):
        NotificationService().send(body=request, caller=caller)
    response = NotificationService().send(body={**request, "context": {"amount": 1}}, caller=caller)

    notification = Notification.objects.get(uuid=response.id)
    assert (notification.user_id, notification.address) == (None, {"email": "New@example.com"})


def test_a_send_is_refused_if_the_person_opted_out_of_all_its_channels():
    make_template()
    user = make_user()
    ContactPoint.objects.filter(user=user).update(state="unsubscribed")

    with pytest.raises(Refused) as refused:
        send(user)
    assert refused.value.code == "opted_out"
    assert refused.value.data["reasons"] == {"email": "contact_unsubscribed"}
    assert send(user, channel=None, channels=["email", "in_app"]).status == "pending"


def test_a_suppressed_address_refuses_a_stranger_too():
    make_template(email_body_template="Code 123")
    Suppression.objects.create(kind="email", address="x@example.com")

    with pytest.raises(Refused) as refused:
        NotificationService().send(
            body={
                "template_path": "test.hello",
                "to": {"email": "x@example.com"},
                "context": {"amount": 1},
            },
            caller=SYSTEM,
        )
    assert refused.value.data["reasons"] == {"email": "address_suppressed"}


# -- bulk --------------------------------------------------------------------------------------


def test_a_bulk_send_accepts_valid_recipients_and_lists_the_others_by_place():
    make_template()
    users = [make_user(), make_user()]
    response = NotificationService().send_bulk(
        body={
            "template_path": "test.hello",
            "channel": "in_app",
            "recipients": [
                {"user_id": users[0].pk, "context": {"amount": 1}},
                {"user_id": 987654321, "context": {"amount": 1}},
                {"user_id": str(users[1].uuid), "context": {"amount": 2}},
                {"user_id": users[0].pk},
                {"user_id": "3-7"},
                {"user_id": users[0].pk, "channel": "pigeon"},
                {"user_id": users[0].pk, "channel": "telegram", "context": {"amount": 1}},
                7,
            ],
        },
        caller=SERVICE,
    )

    assert response.accepted == 2
    assert [(each.index, each.code) for each in response.rejected] == [
        (1, "unknown_user"),
        (3, "missing_variable"),
        (4, "invalid_user"),
        (5, "invalid_channel"),
        (6, "channel_not_in_template"),
        (7, "wrong_type"),
    ]
    job = NotificationService().job(identifier=response.job_id, caller=SERVICE)
    assert (job.total, job.accepted, job.progress, job.done) == (8, 2, {"pending": 2}, False)


def test_a_bulk_send_without_valid_recipients_is_done():
    make_template()

    response = NotificationService().send_bulk(
        body={
            "template_path": "test.hello",
            "channel": "email",
            "recipients": [{"user_id": "3-7"}],
        },
        caller=SERVICE,
    )

    assert response.accepted == 0
    assert NotificationService().job(identifier=response.job_id, caller=SERVICE).done


def test_a_bulk_send_of_ten_thousand_has_batches_of_five_hundred():
    make_template()
    users = [make_user() for _ in range(3)]
    NotificationService().send_bulk(
        body={
            "template_path": "test.hello",
            "channel": "in_app",
            "context": {"amount": 1},
            "recipients": [{"user_id": users[n % 3].pk} for n in range(10_000)],
        },
        caller=SERVICE,
    )

    assert sorted(DeliveryBatch.objects.values_list("size", flat=True)) == [500] * 20
    assert Job.objects.get().context == {"amount": 1}


def test_more_than_ten_thousand_is_an_error_that_says_what_to_do():
    make_template()

    with pytest.raises(InvalidRequest, match="send several calls") as refused:
        NotificationService().send_bulk(
            body={
                "template_path": "test.hello",
                "channel": "email",
                "recipients": [{"user_id": 1}] * 10_001,
            },
            caller=SERVICE,
        )
    assert refused.value.code == "too_many_recipients"


def test_another_callers_job_is_unknown():
    make_template()
    response = NotificationService().send_bulk(
        body={"template_path": "test.hello", "channel": "email", "recipients": [{"user_id": "x"}]},
        caller=SERVICE,
    )
    with pytest.raises(NotFound):
        NotificationService().job(
            identifier=response.job_id, caller=Caller(name="key:2", is_service=True)
        )


# -- cancel, status ------------------------------------------------------------------------------


def test_a_waiting_message_can_be_cancelled_and_is_never_sent():
    make_template()
    response = send(make_user())

    cancelled = NotificationService().cancel(identifier=response.id, caller=SYSTEM)

    assert (cancelled.status, cancelled.cancelled) == ("cancelled", ["email"])
    assert batches.lease(owner="w", lane="default", seconds=60) == []
    assert NotificationService().status(identifier=response.id, caller=SYSTEM).status == "cancelled"
    with pytest.raises(Conflict) as refused:
        NotificationService().cancel(identifier=response.id, caller=SYSTEM)
    assert refused.value.code == "not_pending"


def test_a_message_in_flight_cannot_be_cancelled_and_is_processing():
    make_template()
    response = send(make_user())
    (held,) = batches.lease(owner="w", lane="default", seconds=60)
    batches.journal_one(held, NotificationMessage.objects.get().pk, "w")

    assert (
        NotificationService().status(identifier=response.id, caller=SYSTEM).status == "processing"
    )
    with pytest.raises(Conflict) as refused:
        NotificationService().cancel(identifier=response.id, caller=SYSTEM)
    assert refused.value.code == "already_sending"


def test_the_notification_of_another_user_is_unknown():
    make_template()
    response = send(make_user())
    stranger = make_user()

    for caller in (Caller(name="user:1", user_id=stranger.pk), SERVICE):
        with pytest.raises(NotFound) as refused:
            NotificationService().status(identifier=response.id, caller=caller)
        assert refused.value.code == "unknown_notification"


@pytest.mark.parametrize("identifier", ["", "x", 0, "00000000-0000-0000-0000-000000000000", 10**30])
def test_an_identifier_that_names_nothing_is_unknown(identifier):
    with pytest.raises(NotFound):
        NotificationService().status(identifier=identifier, caller=SYSTEM)


# -- dead letters --------------------------------------------------------------------------------


def dead(count=1, status="failed", code="busy"):
    made = make_messages(count, in_batch=False, attempts=3)
    NotificationMessage.objects.update(status=status)
    return [
        DeadLetter.objects.create(
            message_id=message.pk,
            notification_id=message.notification_id,
            channel="email",
            code=code,
            attempts=3,
            failed_at=message.scheduled_at,
        )
        for message in made
    ]


def test_dead_letters_are_paged_filtered_and_replayed_as_a_batch():
    dead_letters = dead(3)
    service = OperationsService()

    assert [each.id for each in service.dead_letters(caller=SYSTEM, limit=2)] == [
        dead_letters[0].pk,
        dead_letters[1].pk,
    ]
    assert service.dead_letters(caller=SYSTEM, code="other") == []
    assert service.replay(ids=[each.pk for each in dead_letters], caller=SYSTEM) == 3
    assert service.replay(ids=[each.pk for each in dead_letters], caller=SYSTEM) == 0

    assert set(NotificationMessage.objects.values_list("status", "attempts")) == {("pending", 0)}
    assert DeliveryBatch.objects.get().size == 3
    assert service.dead_letters(caller=SYSTEM) == []
    assert len(service.dead_letters(caller=SYSTEM, resolved=True)) == 3


def test_an_uncertain_message_that_is_discarded_has_failed():
    (dead_letter,) = dead(1, status="uncertain", code="uncertain")
    service = OperationsService()

    with pytest.raises(InvalidRequest, match="say why"):
        service.discard(ids=[dead_letter.pk], reason=" ", caller=SYSTEM)
    assert service.discard(ids=[dead_letter.pk], reason="it arrived", caller=SYSTEM) == 1

    assert NotificationMessage.objects.get().status == "failed"
    assert OperatorAction.objects.latest("pk").action == "dead-letters.discard"


def test_operator_calls_need_the_scope():
    for call in (
        lambda: OperationsService().stops(caller=SERVICE),
        lambda: OperationsService().replay(ids=[1], caller=SERVICE),
        lambda: OperationsService().stop(scope="all", value="", reason="x", caller=SERVICE),
    ):
        with pytest.raises(Refused, match="operations"):
            call()


@pytest.mark.parametrize(
    ("scope", "value", "reason", "code"),
    [
        ("planet", "x", "r", "unknown_scope"),
        ("channel", "", "r", "required"),
        ("channel", "pigeon", "r", "unknown_channel"),
        ("version", "999999", "r", "unknown_version"),
        ("version", "999999@key:3", "r", "unknown_version"),
        ("version", "twelve", "r", "unknown_version"),
        ("provider", "pigeon", "r", "unknown_provider"),
        ("category", "pigeon", "r", "unknown_category"),
        ("all", "", " ", "required"),
    ],
)
def test_an_impossible_stop_is_refused_with_the_reason(scope, value, reason, code):
    with pytest.raises(InvalidRequest) as refused:
        OperationsService().stop(scope=scope, value=value, reason=reason, caller=SYSTEM)
    assert refused.value.code == code


def test_lifting_a_stop_that_does_not_exist_is_unknown():
    with pytest.raises(NotFound) as refused:
        OperationsService().lift(scope="channel", value="email", caller=SYSTEM)
    assert refused.value.code == "unknown_stop"
