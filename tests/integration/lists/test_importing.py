"""Imports into a list: safe to repeat, each wrong row reported, and who left stays away."""

from __future__ import annotations

from typing import Any

import pytest

from directory.models import ListMembership, SubscriberList, Suppression, User
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import InvalidRequest, NotFound, Refused
from notifications.features.lists import importing
from notifications.features.lists.importing import import_people
from notifications.features.lists.joining import leave
from notifications.features.lists.schemas import ListImportBody, ListImportResponse
from notifications.features.preferences.consents import ConsentService
from notifications.features.preferences.service import PreferenceService, preferences_of
from notifications.features.preferences.unsubscribe import link_caller
from notifications.models import AuditQueued, ConsentRecord, NotificationMessage, SandboxMessage
from tests.integration.factories import make_user
from tests.integration.lists.factories import KEY, WORDING, make_list, put_on, status_of
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(frozen: Any) -> SubscriberList:
    return make_list(category="marketing")


def run(found: SubscriberList, *rows: Any, **values: Any) -> ListImportResponse:
    values.setdefault("wording", WORDING)
    body = ListImportBody(rows=list(rows), **values)
    return import_people(identifier=found.pk, body=body, caller=KEY)


def row(user: User) -> dict[str, Any]:
    return {"user_id": user.pk}


def counts(response: ListImportResponse) -> tuple[int, int, int]:
    return response.subscribed, response.pending, response.unchanged


def faults(response: ListImportResponse) -> list[tuple[int, str]]:
    return [(each.index, each.code) for each in response.rejected]


def test_people_are_added_with_the_evidence_and_what_the_category_needs(found):
    one, two = make_user(), make_user(external_id="p-7")

    response = run(found, row(one), {"external_id": "p-7"}, source="fair")

    assert (counts(response), response.rejected) == ((2, 0, 0), [])
    entries = ConsentRecord.objects.filter(user=two).order_by("pk")
    assert [(e.purpose, e.granted, e.wording, e.source, e.actor) for e in entries] == [
        (purpose, True, WORDING, "fair", "key:1")
        for purpose in (found.purpose, "data_processing", "marketing")
    ]
    assert ListMembership.objects.get(user=two).consent_id == entries[0].pk
    overall = preferences_of(one.pk).overall
    assert (overall.data_processing_consent, overall.marketing_enabled) == (True, True)
    assert AuditQueued.objects.filter(action="list.imported").count() == 1


def test_the_same_import_again_changes_nothing(found):
    rows = [row(make_user()) for _ in range(3)]
    run(found, *rows)
    entries, actions = ConsentRecord.objects.count(), AuditQueued.objects.count()

    assert counts(run(found, *rows)) == (0, 0, 3)
    assert (ConsentRecord.objects.count(), AuditQueued.objects.count()) == (entries, actions)
    assert ListMembership.objects.count() == 3


def test_each_wrong_row_is_reported_and_the_others_go_in(found):
    good = make_user()
    twice = [make_user(email="both@example.com") for _ in range(2)]
    rows = [
        "x", {}, {"user_id": 1, "email": "a@b.c"}, {"user_id": "seven"}, {"user_id": None},
        {"external_id": 7}, {"email": "lena"}, {"email": "a\u0000@b.c"}, {"email": 5},
        {"name": "Ada"}, {"user_id": 10**12}, {"email": "unknown@example.com"},
        {"email": "BOTH@example.com"}, row(make_user(is_active=False)), {"email": good.email},
    ]  # fmt: skip

    response = run(found, *rows)

    wrong = [(n, "invalid_row") for n in range(10)]
    unknown = [(10, "unknown_user"), (11, "unknown_user"), (12, "invalid_row")]
    assert faults(response) == [*wrong, *unknown, (13, "unknown_user")]
    assert all(each.detail for each in response.rejected)
    assert len({each.detail for each in response.rejected if each.code == "unknown_user"}) == 1
    assert counts(response) == (1, 0, 0)
    assert status_of(found, good) == "subscribed"
    assert {status_of(found, each) for each in twice} == {""}


def test_a_person_in_several_rows_counts_once(found):
    user = make_user(email="ada@example.com")

    assert counts(run(found, row(user), row(user), {"email": "Ada@Example.com"})) == (1, 0, 2)


def test_who_left_is_added_only_on_request_and_with_evidence(found):
    user = make_user()
    put_on(found, user)
    leave(found, user.pk, caller=SYSTEM, source="one_click")

    assert faults(run(found, row(user))) == [(0, "opted_out")]
    assert status_of(found, user) == "unsubscribed"
    with pytest.raises(InvalidRequest) as caught:
        run(found, row(user), resubscribe=True, wording="")
    assert caught.value.code == "required"

    assert counts(run(found, row(user), resubscribe=True, wording="I want it back.")) == (1, 0, 0)
    assert ConsentRecord.objects.filter(wording="I want it back.", granted=True).exists()


@pytest.mark.parametrize("purpose", ["data_processing", "marketing"])
def test_who_withdrew_a_consent_is_not_added(found, purpose):
    user = make_user()
    for granted in (True, False):
        service = ConsentService()
        change = service.give if granted else service.withdraw
        change(purpose=purpose, wording="x", source="api", caller=link_caller(user.pk))

    assert faults(run(found, row(user))) == [(0, "opted_out")]
    assert preferences_of(user.pk).overall.marketing_enabled is False

    ConsentService().give(purpose=purpose, wording="x", source="api", caller=link_caller(user.pk))
    assert counts(run(found, row(user))) == (1, 0, 0)


@pytest.mark.parametrize("category", ["marketing", None])
def test_who_unsubscribed_from_the_category_or_everything_is_not_added(found, category):
    user = make_user()
    PreferenceService().unsubscribe(
        caller=link_caller(user.pk), source="one_click", category=category
    )

    assert faults(run(found, row(user))) == [(0, "opted_out")]


def test_who_is_suppressed_is_not_added(found):
    user, closed = make_user(email="gone@example.com"), make_user()
    Suppression.objects.create(kind="email", address="gone@example.com")
    closed.contact_points.filter(kind="email").update(state="unsubscribed")

    assert faults(run(found, row(user), row(closed))) == [(0, "opted_out"), (1, "opted_out")]
    assert counts(run(found, row(user), resubscribe=True)) == (1, 0, 0)


def test_with_double_opt_in_everyone_is_asked_once(frozen):
    found = make_list(double_opt_in=True, category="marketing")
    people = [make_user() for _ in range(3)]
    unreachable = make_user(email="")
    rows = [row(user) for user in (*people, unreachable)]

    response = run(found, *rows)
    work()

    assert (counts(response), faults(response)) == ((0, 3, 0), [(3, "no_address")])
    assert SandboxMessage.objects.count() == 3
    assert not ConsentRecord.objects.exists()
    assert counts(run(found, *rows)) == (0, 0, 3)
    assert NotificationMessage.objects.count() == 3


def test_evidence_is_required_where_the_category_rests_on_consent(found):
    user = make_user()
    with pytest.raises(InvalidRequest) as caught:
        run(found, row(user), wording="")
    assert [(e.path, e.code) for e in caught.value.errors] == [("wording", "required")]

    assert counts(run(make_list(category="course"), row(user), wording="")) == (1, 0, 0)
    assert counts(run(make_list(double_opt_in=True), row(user), wording="")) == (0, 1, 0)


def test_parts_are_transactions_of_their_own(found, monkeypatch):
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    people = [make_user() for _ in range(5)]

    assert counts(run(found, *(row(user) for user in people))) == (5, 0, 0)
    assert AuditQueued.objects.filter(action="list.imported").count() == 3
    emails = [{"email": user.email} for user in people]
    assert counts(run(found, *emails)) == (0, 0, 5)


def test_it_needs_the_scope_and_the_list(found):
    body = ListImportBody(rows=[{"user_id": 1}], wording="x")
    with pytest.raises(Refused):
        import_people(identifier=found.pk, body=body, caller=Caller(name="key:2", is_service=True))
    with pytest.raises(NotFound):
        import_people(identifier=10**9, body=body, caller=KEY)


def test_consents_for_other_mails_need_their_own_scope(found):
    body = ListImportBody(rows=[row(make_user())], wording=WORDING, resubscribe=True)
    writer = Caller(name="key:3", is_service=True, scopes=frozenset({"lists:write"}))
    with pytest.raises(Refused) as caught:
        import_people(identifier=found.pk, body=body, caller=writer)

    assert (caught.value.code, caught.value.data["scope"]) == (
        "missing_scope",
        "preferences:write",
    )
    assert not ConsentRecord.objects.exists()
    plain = make_list(category="course")
    assert counts(import_people(identifier=plain.pk, body=body, caller=writer)) == (1, 0, 0)
    assert {entry.purpose for entry in ConsentRecord.objects.all()} == {plain.purpose}


@pytest.mark.parametrize("resubscribe", [False, True])
def test_a_blank_wording_is_no_evidence(found, resubscribe):
    with pytest.raises(InvalidRequest) as caught:
        run(found, row(make_user()), wording=" \n", resubscribe=resubscribe)
    assert [(e.path, e.code) for e in caught.value.errors] == [("wording", "required")]


def test_rows_by_email_need_the_right_to_read_people():
    plain = make_list(category="course")
    writer = Caller(name="key:3", is_service=True, scopes=frozenset({"lists:write"}))
    for email in (make_user().email, "unknown@example.com"):
        body = ListImportBody(rows=[{"email": email}])
        with pytest.raises(Refused) as caught:
            import_people(identifier=plain.pk, body=body, caller=writer)
        assert (caught.value.code, caught.value.data["scope"]) == ("missing_scope", "users:read")
    assert not ListMembership.objects.exists()
