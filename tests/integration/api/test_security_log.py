"""What is refused for want of a right, and who signs in, can be read in the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.http import HttpResponse
from django.test import Client, RequestFactory

from carillon.serving.security_log import note_refusal
from carillon.settings.logs import logging_config
from directory.models import User
from notifications.domain.redaction import LINK_PAGES
from notifications.models import ApiKey
from notifications.web.urls import urlpatterns
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


def lines(caplog: Any) -> list[Any]:
    return [record.msg for record in caplog.records if record.name == "carillon.security"]


@pytest.mark.parametrize(
    ("_case", "token", "path", "status", "code"),
    [
        ("anonymous", "", "/api/v1/users", 401, "not_authenticated"),
        ("a bad token", "Token nothing", "/api/v1/users", 401, "invalid_token"),
        ("a bad key", "Bearer ck_live_a_b", "/api/v1/users", 401, "invalid_api_key"),
        ("no right", "key", "/api/v1/users", 403, "missing_scope"),
        ("no right, elsewhere", "key", "/api/admin/broadcasts/", 403, "missing_scope"),
    ],
)
def test_every_refusal_is_logged_with_who_and_why(
    client: Client, caplog: Any, _case: str, token: str, path: str, status: int, code: str
) -> None:
    key, text = ApiKey.make(name="weak", scopes=["templates:read"])
    headers = {"Authorization": f"Bearer {text}" if token == "key" else token} if token else {}
    assert client.get(path, headers=headers).status_code == status
    (line,) = lines(caplog)
    assert (line["event"], line["level"]) == ("security.refused", "warning")
    assert (line["status"], line["code"], line["path"]) == (status, code, path)
    assert line["principal"] == (f"key:{key.pk}" if token == "key" else "anonymous")
    assert line["client"] == "127.0.0.1"


def test_a_sign_in_is_logged_whether_it_succeeds_or_not(client: Client, caplog: Any) -> None:
    ada = make_user(username="lovelace", is_staff=True)
    ada.set_password("correct horse")
    ada.save()
    request = RequestFactory().get("/admin/login/")
    assert authenticate(request, username="lovelace", password="wrong horse") is None
    client.post("/admin/login/", {"username": "lovelace", "password": "correct horse"})
    failed, succeeded = lines(caplog)
    assert failed["event"] == "security.sign_in_failed"
    assert succeeded["event"] == "security.signed_in"
    assert succeeded["principal"] == f"user:{User.objects.get().pk}"
    assert "lovelace" not in repr(failed)


LINK_ROUTES = [
    route for each in urlpatterns if "<str:token>" in (route := str(each.pattern)) and each.name
]


def test_every_page_of_a_signed_link_is_listed() -> None:
    assert {route.partition("/")[0] for route in LINK_ROUTES} == set(LINK_PAGES)


@pytest.mark.parametrize("route", LINK_ROUTES)
def test_a_path_that_holds_a_credential_is_not_logged(caplog: Any, route: str) -> None:
    path = "/" + route.replace("<str:token>", "a-secret-link").replace("<str:form>", "json")
    request = RequestFactory().post(path)
    note_refusal(request, HttpResponse(status=403))
    assert lines(caplog)[0]["path"] == f"/{route.partition('/')[0]}/..."


@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR"])
def test_security_lines_are_written_at_every_log_level(level: str) -> None:
    config = logging_config(level=level, json=True)
    assert config["root"]["level"] == level
    assert config["loggers"]["carillon.security"]["level"] == "INFO"
    assert "handlers" not in config["loggers"]["carillon.security"]  # the root's write it
    assert logging.INFO < logging.WARNING
