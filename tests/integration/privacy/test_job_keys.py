"""The shared context of a bulk call has a data key of its own, which ends with the context."""

from __future__ import annotations

from typing import Any

import pytest

from directory.models import User
from notifications.engine import shared_rows
from notifications.engine.runs import deliver_rows
from notifications.features.retention.queries import is_emptied, is_job_emptied
from notifications.infra import clock
from notifications.models import DeadLetter, Job, Notification, NotificationMessage
from notifications.models.fields import EMPTIED
from notifications.queue import batches
from tests.integration.api.conftest import KeyClient
from tests.integration.api.group_way import GroupWay
from tests.integration.factories import make_user
from vault.cells import key_id_of
from vault.models import DataKey, ErasedKey
from vault.store import erase_keys, open_cell

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
BULK = "/api/v1/notifications/bulk"


def body_for(user: User, **context: Any) -> dict[str, Any]:
    recipients = [{"user_id": user.pk, "channel": "in_app"}]
    return {"template_path": "test.hello", "recipients": recipients, "context": context}


def cell_of(job: Job) -> bytes:
    raw = Job.objects.raw("SELECT id, context AS stored FROM notifications_job")
    return bytes(next(row.stored for row in raw if row.pk == job.pk))


@pytest.fixture(params=["alone", "grouped"])
def post_bulk(request: Any, with_key: KeyClient, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = with_key("notifications:send")
    if request.param == "grouped":
        GroupWay(monkeypatch)
    return lambda body: client.post(BULK, body, format="json")


def test_each_bulk_call_seals_its_context_under_its_own_key(post_bulk: Any) -> None:
    user = make_user()
    for amount in (5, 6):
        assert post_bulk(body_for(user, amount=amount)).status_code == 202
    first, second = Job.objects.order_by("pk")
    assert first.key_id != second.key_id
    assert key_id_of(cell_of(first)) == first.key_id
    assert DataKey.objects.get(pk=first.key_id).kind == DataKey.Kind.JOB
    assert b'"amount": 5' in open_cell(cell_of(first))
    assert first.context == {"amount": 5}


def test_a_call_without_a_context_makes_no_key(post_bulk: Any) -> None:
    assert post_bulk(body_for(make_user())).status_code == 202
    assert Job.objects.get().key_id is None
    assert not DataKey.objects.filter(kind=DataKey.Kind.JOB).exists()


def test_a_restored_row_whose_key_was_erased_counts_as_emptied(post_bulk: Any) -> None:
    post_bulk(body_for(make_user(), amount=5))
    job, notification = Job.objects.get(), Notification.objects.get()
    assert not is_emptied(notification.pk)
    assert not is_job_emptied(job.pk)
    erase_keys([job.key_id or 0])
    assert is_emptied(notification.pk)
    assert is_job_emptied(job.pk)
    assert Job.objects.get().context is None


def test_a_changed_context_stays_under_the_key_of_the_job() -> None:
    job = Job.objects.create(
        kind="broadcast",
        source="cli",
        context={"title": "A"},
        total=0,
        accepted=0,
        created_at=clock.now(),
    )
    again = Job.objects.get()
    again.context = {"title": "B"}
    again.save(update_fields=["context"])
    assert key_id_of(cell_of(job)) == job.key_id
    assert not ErasedKey.objects.exists()


@pytest.mark.parametrize("emptied", ["its key is erased", "its text is emptied"])
def test_no_message_goes_out_without_the_shared_values(post_bulk: Any, emptied: str) -> None:
    """The template would say something else, or nothing, without them."""
    assert post_bulk(body_for(make_user(), amount=5)).status_code == 202
    job = Job.objects.get()
    if emptied == "its key is erased":
        erase_keys([job.key_id or 0])
    else:
        Job.objects.filter(pk=job.pk).update(context=EMPTIED, key_id=None)
    shared_rows.forget()
    while leases := batches.lease(owner="w", lane="default", seconds=60):
        deliver_rows(leases, owner="w")
    message = NotificationMessage.objects.get()
    assert message.status == "failed"
    assert DeadLetter.objects.get().code == "contents_expired"


def test_a_job_without_shared_values_goes_out(post_bulk: Any) -> None:
    body = body_for(make_user())
    body["recipients"][0]["context"] = {"amount": 5}
    assert post_bulk(body).status_code == 202
    for lease in batches.lease(owner="w", lane="default", seconds=60):
        deliver_rows([lease], owner="w")
    assert NotificationMessage.objects.get().status == "delivered"
