"""Every page and form of the console as every role, compared with the permission table."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern

from console.navigation import GROUPS
from console.urls import urlpatterns
from directory.models import StaffRole
from notifications.api.permissions.console_pages import CONSOLE_ROLES, CONSOLE_SCOPES
from notifications.domain.scopes import SCOPES
from tests.integration.console.conftest import As
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
_PAGES = ("notifications", "people", "dead-letters", "queues", "providers", "stops")
_ALLOWED = (200, 302, 400, 404, 405)
"""Answers of a page that a role may open: it may lack what the request names."""


def url_of(pattern: str) -> str:
    text = re.sub(r"<int:\w+>", "999999", pattern)
    text = text.replace("<str:form>", "json")
    return "/" + re.sub(r"<str:\w+>", str(uuid4()), text)


def paths() -> set[str]:
    return {str(each.pattern) for each in urlpatterns if isinstance(each, URLPattern)}


def test_the_table_has_every_page_and_names_known_scopes() -> None:
    assert paths() == CONSOLE_SCOPES.keys()
    assert {scope for scope in CONSOLE_SCOPES.values() if scope} <= SCOPES.keys()


@pytest.mark.parametrize("role", StaffRole.values)
def test_a_role_opens_what_the_table_says(as_role: As, role: str) -> None:
    client = as_role(role)
    client.raise_request_exception = False
    wrong = []
    for pattern in sorted(CONSOLE_ROLES):
        for method in (client.get, client.post):
            status = method(url_of(pattern)).status_code
            expected = role in CONSOLE_ROLES[pattern]
            if (status in _ALLOWED) is not expected or (not expected and status != 403):
                wrong.append((pattern, method.__name__, status))
    assert wrong == []


def test_an_unknown_role_and_people_who_are_no_staff_open_nothing() -> None:
    janitor, student = Client(), Client()
    janitor.force_login(make_user(staff_role="janitor"))
    student.force_login(make_user())
    for pattern in sorted(CONSOLE_ROLES):
        url = url_of(pattern)
        assert janitor.get(url).status_code == 403
        assert student.get(url).status_code == 302
        anonymous = Client().get(url)
        assert anonymous.status_code == 302
        assert anonymous["Location"].startswith("/account/login")


def test_the_navigation_shows_what_the_role_opens(as_role: As) -> None:
    for role in StaffRole.values:
        text = as_role(role).get("/console").content.decode()
        for page in (*_PAGES, "broadcasts", "campaigns", "series", "experiments", "lists"):
            shown = f'<li><a href="/console/{page}"' in text
            assert shown is (role in CONSOLE_ROLES[f"console/{page}"]), (role, page)


def test_groups_of_the_navigation_have_entries_that_the_role_opens(as_role: As) -> None:
    shown = {}
    for role in StaffRole.values:
        text = as_role(role).get("/console/templates").content.decode()
        nav = text.partition('<nav class="sections"')[2].partition("</nav>")[0]
        names = re.findall(r'<p id="sections-\d">([^<]+)</p>\s*<ul aria-labelledby', nav)
        entries = [len(re.findall("<li>", each)) for each in nav.split("<p id=")[1:]]
        assert len(names) == len(entries), role
        assert all(entries), role
        assert nav.count("aria-current") == 1, role
        shown[role] = names
    assert shown["admin"] == [
        *("At a glance", "People", "Content", "Sending", "Operations", "Access and records"),
    ]
    assert shown["author"] == ["At a glance", "Content"]


def test_every_page_of_the_navigation_is_in_one_group() -> None:
    paths = [f"console/{key}".rstrip("/") for _, pages in GROUPS for key, _ in pages]
    assert len(set(paths)) == len(paths) == 22
    assert set(paths) <= CONSOLE_SCOPES.keys()


def test_a_form_without_its_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(staff_role="admin"))
    answer = client.post("/console/stops", {"scope": "all", "reason": "x"})
    assert answer.status_code == 403


def test_after_the_end_of_a_session_a_form_leads_back_to_its_section() -> None:
    client = Client()
    answer = client.post("/console/people/7/test", {"template": "x"})
    assert answer["Location"] == "/account/login?next=/console/people"
    answer = client.get("/console/people?find=ada", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer["HX-Redirect"].startswith("/account/login?next=/console/people")
