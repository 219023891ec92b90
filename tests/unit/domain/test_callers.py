"""From where a key may be used."""

from __future__ import annotations

import ipaddress

import pytest

from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.scopes import ALL_SCOPES
from notifications.domain.staff_rights import RIGHTS, rights_of


def caller(*networks: str) -> Caller:
    return Caller(name="key:1", networks=tuple(ipaddress.ip_network(each) for each in networks))


@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        ([], "203.0.113.7", True),
        ([], "no address", True),
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
        (["192.0.2.0/24"], "::ffff:203.0.113.7", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", True),
        (["127.0.0.0/8"], "", True),
        (["192.0.2.0/24"], "", False),
        (["0.0.0.0/0"], "no address", False),
        (["0.0.0.0/0"], "::1", False),
    ],
)
def test_an_address_is_in_a_network(networks: list[str], address: str, expected: bool) -> None:
    assert caller(*networks).may_come_from(address) is expected


@pytest.mark.parametrize(
    ("networks", "wanted", "expected"),
    [
        ([], "0.0.0.0/0", True),
        (["192.0.2.0/24"], "192.0.2.128/25", True),
        (["192.0.2.0/24"], "192.0.2.0/24", True),
        (["192.0.2.0/24"], "192.0.2.0/23", False),
        (["192.0.2.0/24"], "0.0.0.0/0", False),
        (["192.0.2.0/24"], "::c000:200/128", False),
        (["::/0"], "192.0.2.0/24", False),
    ],
)
def test_a_network_is_in_a_network(networks: list[str], wanted: str, expected: bool) -> None:
    assert caller(*networks).may_come_from_all(ipaddress.ip_network(wanted)) is expected


def test_a_caller_has_the_scopes_that_it_was_given_and_no_other() -> None:
    staff = Caller(name="user:1", is_staff=True)
    assert not any(staff.may(scope) for scope in ALL_SCOPES)
    assert all(SYSTEM.may(scope) for scope in ALL_SCOPES)


def test_only_staff_with_the_scope_manage_staff() -> None:
    every = frozenset(ALL_SCOPES)
    assert not Caller(name="key:1", is_service=True, scopes=every).manages_staff
    managers = {
        role
        for role, scopes in RIGHTS.items()
        if Caller(name="user:1", is_staff=True, scopes=scopes).manages_staff
    }
    assert managers == {"admin"}


@pytest.mark.parametrize("role", [None, "", "janitor", "Admin"])
def test_an_unknown_role_has_no_rights(role: str | None) -> None:
    assert rights_of(role) == frozenset()


def test_each_role_has_fewer_rights_than_the_admin() -> None:
    for role, scopes in RIGHTS.items():
        assert scopes < ALL_SCOPES or role == "admin"
    writing = {"categories:write", "api-keys:write", "staff:write", "privacy:erase", "audit:read"}
    assert not any(writing & scopes for role, scopes in RIGHTS.items() if role != "admin")
