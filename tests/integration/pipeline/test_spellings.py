"""An address is suppressed, closed and found again in every spelling; mails keep the given one."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from directory.importing import import_users
from directory.models import ContactPoint, Suppression, User
from notifications.domain.callers import SYSTEM
from notifications.domain.lifecycle import MessageStatus
from notifications.engine.journal import journal
from notifications.engine.prepare import prepare
from notifications.engine.runs import deliver_rows, keys_of
from notifications.features.people.imports import import_file
from notifications.features.people.relations import SuppressionService
from notifications.features.people.service import UserService
from notifications.features.preferences.link_holders import find_point
from notifications.features.preferences.service import PreferenceService
from notifications.infra.links import address_mark
from notifications.models import NotificationMessage, SandboxMessage, UserNotificationPreference
from notifications.queue import batches
from notifications.recording.contacts import close_contact
from notifications.services import NotificationService
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.django_db

SPELLINGS = [
    ("email", "Case@Example.org", "case@example.org"),
    ("email", "case@example.org", "Case@EXAMPLE.org"),
    ("email", "ada@münchen.de", "Ada@xn--mnchen-3ya.de"),
    ("email", "ada@xn--mnchen-3ya.de", "ada@mu\u0308nchen.de"),
    ("email", "jose\u0301@example.org", "Jos\u00e9@example.org"),
    ("phone", "+49 (151) 1234-5678", "+4915112345678"),
    ("phone", "+44 07911 123456", "+447911123456"),
]
CHANNEL = {"email": "email", "phone": "sms"}
COLUMN = {"email": "email", "phone": "phone_number"}


def make_plain_template() -> None:
    texts = {"email_body_template": "{{ amount }}", "sms_template": "{{ amount }}"}
    make_template(supported_channels=["email", "sms"], **texts)


def by_door(kind: str, address: str) -> None:
    done = SuppressionService().add(rows=[(kind, address, "")], source="test", caller=SYSTEM)
    assert (done.created, done.rejected) == (1, [])


def by_import(kind: str, address: str) -> None:
    lines = ["kind,address\n", f"{kind},{address}\n"]
    assert import_file("suppressions", lines, kind="csv", caller=SYSTEM).created == 1


def by_receipt(kind: str, address: str) -> None:
    close_contact(channel=CHANNEL[kind], user_id=None, address=address, code="x", reason="r")


def by_row(kind: str, address: str) -> None:
    Suppression.objects.create(kind=kind, address=address)


def by_save(kind: str, address: str) -> User:
    return make_user(**{COLUMN[kind]: address})


def by_people_import(kind: str, address: str) -> User:
    import_users([f"username,{COLUMN[kind]}\n", f"ada,{address}\n"], kind="csv")
    return User.objects.get(username="ada")


def send(**target: object) -> str:
    body = {"template_path": "test.hello", "context": {"amount": 5}, **target}
    return NotificationService().send(body=body, caller=SYSTEM).id


def send_to(user: User, kind: str) -> str:
    UserNotificationPreference.objects.update_or_create(user=user, defaults={"sms_enabled": True})
    return send(user_id=user.pk, channel=CHANNEL[kind])


def lease() -> list[batches.Lease]:
    return batches.lease(owner="w", lane="default", seconds=60)


def events(identifier: str) -> list[tuple[str, str]]:
    message = NotificationMessage.objects.get(notification__uuid=identifier)
    return [(entry["event"], entry["reason"]) for entry in message.history()]


@pytest.mark.parametrize(("kind", "listed", "held"), SPELLINGS)
@pytest.mark.parametrize("suppress", [by_door, by_import, by_receipt, by_row])
@pytest.mark.parametrize("enter", [by_save, by_people_import])
def test_a_suppression_holds_for_every_spelling_of_a_persons_address(
    kind: str,
    listed: str,
    held: str,
    suppress: Callable[[str, str], None],
    enter: Callable[[str, str], User],
) -> None:
    make_plain_template()
    identifier = send_to(enter(kind, held), kind)
    suppress(kind, listed)

    deliver_rows(lease(), owner="w")

    assert ("suppressed", "address_suppressed") in events(identifier)
    assert not SandboxMessage.objects.exists()
    story = NotificationService().explain(identifier=identifier, caller=SYSTEM).messages[0]
    assert story.contact is not None


@pytest.mark.parametrize(("kind", "listed", "held"), SPELLINGS)
def test_a_suppression_holds_for_every_spelling_of_a_strangers_address(
    kind: str, listed: str, held: str
) -> None:
    make_plain_template()
    identifier = send(to={kind: held})
    by_door(kind, listed)

    deliver_rows(lease(), owner="w")

    assert ("suppressed", "address_suppressed") in events(identifier)
    assert not SandboxMessage.objects.exists()


@pytest.mark.parametrize(("kind", "listed", "held"), SPELLINGS)
def test_a_suppression_that_comes_between_decision_and_journal_holds_in_every_spelling(
    kind: str, listed: str, held: str
) -> None:
    make_plain_template()
    send_to(by_save(kind, held), kind)
    leases = lease()
    ready = prepare(CHANNEL[kind], keys_of(leases)).ready
    assert len(ready) == 1
    by_door(kind, listed)

    assert journal(ready, owner="w") == []


def test_mails_are_written_to_the_spelling_that_was_given() -> None:
    make_plain_template()
    user = by_people_import("email", "Ada.L@Mu\u0308nchen.DE")
    send_to(user, "email"), send(to={"email": "Eve.X@Example.ORG"})

    deliver_rows(lease(), owner="w")

    sent = {row.content["recipient"] for row in SandboxMessage.objects.all()}
    assert sent == {"Ada.L@münchen.de", "Eve.X@example.org"}
    point = ContactPoint.objects.get(user=user)
    assert (point.address, point.written_to) == ("ada.l@xn--mnchen-3ya.de", "Ada.L@münchen.de")
    (shown,) = UserService().get(caller=SYSTEM, identifier=user.pk).contact_points
    assert shown.address == "Ada.L@münchen.de"


def test_what_stops_nothing_is_not_called_created() -> None:
    rows = [
        ("email", "not an address", ""),
        ("email", " ", ""),
        ("phone", "0151 12345678", ""),
        ("phone", "4915112345678", ""),
        ("telegram", "@ada", ""),
        ("webhook", "example.org", ""),
        ("chat", "x" * 2_000, ""),
        ("fax", "1", ""),
        ("email", "ada@example.org", "half \ud83c"),
    ]

    done = SuppressionService().add(rows=rows, source="test", caller=SYSTEM)

    assert (done.created, done.unchanged) == (0, 0)
    assert [row.index for row in done.rejected] == list(range(len(rows)))
    assert "international form" in done.rejected[2].detail
    assert not Suppression.objects.exists()


def test_two_spellings_are_one_suppression_and_are_found_by_either() -> None:
    rows = [("email", "Ada@münchen.de", ""), ("email", "ada@XN--mnchen-3ya.de", "")]

    done = SuppressionService().add(rows=rows, source="test", caller=SYSTEM)

    assert (done.created, done.unchanged) == (1, 1)
    for address in ("ADA@münchen.de", "ada@mu\u0308nchen.de"):
        assert len(SuppressionService().list(caller=SYSTEM, address=address)) == 1


@pytest.mark.parametrize("enter", [by_save, by_people_import])
def test_another_spelling_is_no_new_address(enter: Callable[[str, str], User]) -> None:
    user = enter("email", "ada@example.org")
    ContactPoint.objects.update(state="bounced", state_reason="550")

    if enter is by_save:
        user.email = "Ada@Example.org"
        user.save()
    else:
        enter("email", "Ada@Example.org")

    point = ContactPoint.objects.get(user=user)
    assert (point.state, point.state_reason) == ("bounced", "550")
    assert (point.address, point.written_to.lower()) == ("ada@example.org", "ada@example.org")
    assert point.written_to.startswith("Ada@")
    assert all(find_point(user.pk, address_mark(a)) for a in (point.address, point.spelling))


def test_a_changed_address_forgets_the_spelling_of_the_old_one() -> None:
    point = ContactPoint.objects.get(user=make_user(email="Ada@example.org"))

    point.address = "new@example.org"
    point.save(update_fields=["address"])

    point.refresh_from_db()
    assert point.written_to == "new@example.org"


def test_a_receipt_closes_the_address_in_whatever_spelling_it_tells_it() -> None:
    user = make_user(email="Ada@münchen.de")

    for reported in ("eve@example.org", "ada@XN--MNCHEN-3YA.de"):
        close_contact(channel="email", user_id=user.pk, address=reported, code="550", reason="gone")

    assert ContactPoint.objects.get(user=user).state == "bounced"


def test_an_unsubscribe_of_a_former_system_ends_it_for_everybody_at_the_address() -> None:
    users = [make_user(email="Family@münchen.de"), make_user(email="family@xn--mnchen-3ya.de")]

    lines = ["email,category\n", "FAMILY@mu\u0308nchen.de,marketing\n"]
    report = import_file("unsubscribes", lines, kind="csv", caller=SYSTEM)

    assert (report.created, report.error_count) == (1, 0)
    for user in users:
        preferences = PreferenceService().get(caller=SYSTEM, identifier=user.pk)
        assert preferences.categories["marketing"].email_enabled is False


def test_people_are_found_by_every_spelling_of_their_address() -> None:
    user = make_user(email="Ada@münchen.de")

    for email in ("ada@münchen.de", "ADA@xn--mnchen-3ya.de", "Ada@münchen.de"):
        found = UserService().list(caller=SYSTEM, filters={"email": email})
        assert [row.id for row in found] == [user.pk]


def test_rows_of_long_ago_get_their_normal_form_and_keep_what_was_written_to() -> None:
    change = importlib.import_module("directory.migrations.0005_normal_addresses")
    change.AT_ONCE = 2
    state = MigrationLoader(connection).project_state([("directory", "0005_normal_addresses")])
    old_points = state.apps.get_model("directory", "ContactPoint").objects
    old_suppressions = state.apps.get_model("directory", "Suppression").objects
    users = [make_user(email=f"u{n}@example.org") for n in range(5)]
    for user, address in zip(
        users, ("A@b.org", "x@münchen.de", "c@d.org", "odd", "Ä"), strict=True
    ):
        old_points.filter(user_id=user.pk).update(address=address, spelling="")
    old = ("B@x.org", "b@x.org", "e@münchen.de", "E@xn--mnchen-3ya.de", "plain@x.org", "odd one")
    for address in old:
        old_suppressions.create(kind="email", address=address, reason=address)

    for _ in range(2):
        change.normalise_points(state.apps, connection.schema_editor())
        change.normalise_suppressions(state.apps, connection.schema_editor())

    points = old_points.filter(kind="email").order_by("user_id")
    assert list(points.values_list("address", "spelling")) == [
        ("a@b.org", "A@b.org"),
        ("x@xn--mnchen-3ya.de", "x@münchen.de"),
        ("c@d.org", ""),
        ("odd", ""),
        ("ä", "Ä"),
    ]
    assert list(old_suppressions.order_by("pk").values_list("address", "reason")) == [
        ("b@x.org", "B@x.org"),
        ("e@xn--mnchen-3ya.de", "e@münchen.de"),
        ("plain@x.org", "plain@x.org"),
        ("odd one", "odd one"),
    ]


def test_a_message_that_is_not_suppressed_leaves_all_the_same() -> None:
    make_plain_template()
    identifier = send_to(by_save("email", "Ada@Example.org"), "email")
    by_door("email", "ada@example.com")

    deliver_rows(lease(), owner="w")

    message = NotificationMessage.objects.get(notification__uuid=identifier)
    assert message.status == MessageStatus.SENT
