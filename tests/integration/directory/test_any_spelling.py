"""A person is found by an address in any spelling, and by a name in any case of any alphabet."""

from __future__ import annotations

import json

import pytest

from directory.addresses import normalise_address
from directory.importing import import_users
from directory.models import ContactPoint, User
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.features.broadcasts.queries import list_page
from notifications.features.people.service import UserService
from notifications.models import Broadcast
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
SPELLINGS = ["Ann@Example.COM", "ann@example.com", "ANN@EXAMPLE.com"]
WORLD = ["иван@почта.рф", "Иван@xn--80a1acny.xn--p1ai"]


def sync(*records: dict[str, str]) -> tuple[int, int, int]:
    report = import_users([json.dumps(record) for record in records], kind="ndjson")
    return report.created, report.updated, report.error_count


def found(**filters: str) -> list[str]:
    return [user.username for user in UserService().list(caller=SYSTEM, filters=filters)]


@pytest.mark.parametrize("spellings", [SPELLINGS, WORLD], ids=["ascii", "world"])
def test_an_address_alone_names_one_person(spellings: list[str]) -> None:
    first, *others = spellings
    assert sync({"email": first, "first_name": "Ann"}) == (1, 0, 0)

    for spelling in others:
        assert sync({"email": spelling, "first_name": "Anna"})[0] == 0

    user = User.objects.get()
    assert user.first_name == "Anna"
    assert normalise_address("email", user.email) == normalise_address("email", first)
    assert ContactPoint.objects.get().user == user


def test_a_person_is_found_by_another_spelling_of_the_address() -> None:
    old = make_user(username="Ann@Example.com", email="Ann@Example.com")
    bob = make_user(username="bob", email="ann@example.com")  # who has the same address

    assert sync({"email": "ann@EXAMPLE.com", "first_name": "Anna"}) == (0, 1, 0)

    old.refresh_from_db()
    bob.refresh_from_db()
    assert (old.username, old.first_name) == ("Ann@Example.com", "Anna")
    assert bob.first_name == "Ada"
    assert User.objects.count() == 2


def test_two_spellings_in_one_call_mean_one_person() -> None:
    assert sync({"email": SPELLINGS[0]}, {"email": SPELLINGS[2]})[0] == 1
    assert User.objects.count() == 1


def test_an_address_that_cannot_be_a_username_is_reported() -> None:
    long = f"{'a' * 60}@{'.'.join(['b' * 50] * 3)}.com"
    report = import_users([json.dumps({"email": long})], kind="ndjson")
    assert report.created == 0
    assert "username" in report.errors[0][1]


@pytest.mark.parametrize("given", SPELLINGS)
@pytest.mark.parametrize("stored", SPELLINGS)
def test_an_address_is_looked_up_and_searched_in_any_spelling(given: str, stored: str) -> None:
    make_user(username="ann", email=stored)
    make_user(username="bob")

    assert found(email=given) == ["ann"]
    assert found(search=given) == ["ann"]


def test_a_domain_is_searched_in_either_form() -> None:
    make_user(username="ivan", email=WORLD[1])

    assert found(search=WORLD[0]) == ["ivan"]
    assert found(email=WORLD[0]) == ["ivan"]


@pytest.mark.parametrize("word", ["иван", "ИВАН", "Иван", "ПЕТР", "Žof", "žOF"])
def test_names_are_searched_in_any_case_of_any_alphabet(word: str) -> None:
    make_user(username="ip", first_name="Иван", last_name="Žofie")
    make_user(username="other", first_name="Пётр", last_name="Петров")

    assert found(search=word) == (["other"] if word == "ПЕТР" else ["ip"])


def test_wildcards_in_a_search_are_text() -> None:
    make_user(username="ann", first_name="100% Ann_Lee")

    assert found(search="100% ann_") == ["ann"]
    assert found(search="_nn") == []


@pytest.mark.parametrize("word", ["%", "an", "Ann L"])
def test_a_search_that_is_too_short_says_so(word: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        found(search=word)
    assert caught.value.errors[0].code == "search_too_short"


def test_a_username_an_email_or_a_number_is_searched_as_a_whole() -> None:
    make_user(username="ann-17", email="ann@example.com", phone_number="+4915112345678")

    assert found(search="ANN-17") == ["ann-17"]
    assert found(search="+49 151 12345678") == ["ann-17"]
    assert found(search="ann@example.com") == ["ann-17"]
    assert found(search="ann-1") == []
    assert found(search="ann@example") == []


def test_several_words_find_who_has_all_of_them() -> None:
    make_user(username="1", first_name="Ann Marie", last_name="Lee")
    make_user(username="2", first_name="Ann", last_name="Smith")

    assert found(search="lee ann") == ["1"]
    assert found(search="ann") == ["1", "2"]


def test_a_changed_name_is_found_and_the_old_one_is_not() -> None:
    user = make_user(username="1", first_name="Ann")
    user.first_name = "Berta"
    user.save()

    assert found(search="ann") == []
    assert found(search="ber") == ["1"]


def test_broadcasts_are_searched_in_any_case_of_any_alphabet() -> None:
    Broadcast.objects.create(target_group="all_students", message="Школа закрыта")

    assert list_page(search="ШКОЛА").count == 1
    assert list_page(search="школы").count == 0
