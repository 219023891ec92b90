"""What is refused for want of a right, and who signs in, can be read in the log."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from django.contrib.auth import authenticate
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory

from carillon.cli.audit import command as audit
from carillon.serving.security_log import note_refusal
from carillon.settings.logs import logging_config
from directory.models import User
from notifications.domain.redaction import LINK_PAGES, PIXEL_PATH
from notifications.infra import clock
from notifications.infra.http.request_origin import request_from
from notifications.models import ApiKey
from notifications.models.audit.actions import record_action
from notifications.models.audit.entries import record_erasure
from notifications.models.audit.security import EVENTS, NOUNS
from notifications.web.account.urls import urlpatterns as of_staff
from notifications.web.urls import urlpatterns
from tests.architecture.test_budgets import ROOT
from tests.integration.factories import make_user
from tests.integration.sign_in.conftest import GOOD, Factor, make_staff

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
    request = RequestFactory().get("/account/login")
    assert authenticate(request, username="lovelace", password="wrong horse") is None
    client.post("/account/login", {"login": "lovelace", "password": "correct horse"})
    failed, succeeded = lines(caplog)
    assert failed["event"] == "security.sign_in_failed"
    assert succeeded["event"] == "security.signed_in"
    assert succeeded["principal"] == f"user:{User.objects.get().pk}"
    assert "lovelace" not in repr(failed)


def test_a_key_that_comes_from_elsewhere_is_named(client: Client, caplog: Any) -> None:
    key, text = ApiKey.make(name="k", scopes=["operations"], addresses=["192.0.2.0/24"])
    headers = {"Authorization": f"Bearer {text}"}
    assert client.get("/api/v1/kill-switch", headers=headers).status_code == 401
    (line,) = lines(caplog)
    assert (line["code"], line["principal"]) == ("address_not_allowed", f"key:{key.pk}")


def test_who_is_refused_on_a_page_is_named(client: Client, caplog: Any) -> None:
    analyst = make_user(staff_role="analyst")
    client.force_login(analyst)
    caplog.clear()
    assert client.get("/outbox", HTTP_VIA="x").status_code == 403
    (line,) = lines(caplog)
    assert (line["status"], line["principal"]) == (403, f"user:{analyst.pk}")


def test_a_right_password_of_who_may_not_sign_in_is_logged(client: Client, caplog: Any) -> None:
    person = make_user(username="lovelace")
    person.set_password("correct horse 9")
    person.save()
    form = {"login": "lovelace", "password": "correct horse 9"}
    assert client.post("/account/login", form).status_code == 200
    (line,) = lines(caplog)
    assert (line["event"], line["principal"]) == ("security.sign_in_failed", f"user:{person.pk}")


@pytest.mark.parametrize("door", ["page", "api"])
def test_a_wrong_code_of_a_second_factor_is_logged(client: Client, caplog: Any, door: str) -> None:
    user = make_staff(username="lovelace")
    Factor(user)
    if door == "page":
        client.post("/account/login", {"login": "lovelace", "password": GOOD})
        caplog.clear()
        client.post("/account/2fa/authenticate", {"code": "000000"})
        (line,) = lines(caplog)
        assert (line["event"], line["principal"]) == ("security.sign_in_failed", f"user:{user.pk}")
    else:
        body = {"username": "lovelace", "password": GOOD, "code": "000000"}
        client.post("/api/v1/auth/token", body, content_type="application/json")
        (line,) = lines(caplog)
        assert (line["event"], line["code"]) == ("security.refused", "invalid_credentials")


LINK_ROUTES = [
    route
    for each in (*urlpatterns, *of_staff)
    if "<str:token>" in (route := str(each.pattern)) and each.name
]


def test_every_page_of_a_signed_link_is_listed() -> None:
    found = {route.partition("/<")[0] for route in LINK_ROUTES}
    assert found == {*LINK_PAGES, PIXEL_PATH}


@pytest.mark.parametrize("route", LINK_ROUTES)
def test_a_path_that_holds_a_credential_is_not_logged(caplog: Any, route: str) -> None:
    path = "/" + route.replace("<str:token>", "a-secret-link").replace("<str:form>", "json")
    request = RequestFactory().post(path)
    note_refusal(request, HttpResponse(status=403))
    assert lines(caplog)[0]["path"] == f"/{route.partition('/<')[0]}/..."


@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR"])
def test_security_lines_are_written_at_every_log_level(level: str) -> None:
    config = logging_config(level=level, json=True)
    assert config["root"]["level"] == level
    assert config["loggers"]["carillon.security"]["level"] == "INFO"
    assert config["loggers"]["carillon.security"]["handlers"] == ["security"]
    assert "level" not in config["handlers"]["security"]
    assert logging.INFO < logging.WARNING


@pytest.mark.django_db(transaction=True)
def test_an_action_is_an_event_once_it_has_committed(caplog: Any) -> None:
    said = {"actor": "user:7", "action": "api-key.revoked", "target": "key:3", "at": clock.now()}
    with request_from(ip="192.0.2.9", user_agent="x"), transaction.atomic():
        record_action(**said)
        assert lines(caplog) == []
    (line,) = lines(caplog)
    assert (line["event"], line["action"]) == ("security.action", "api-key.revoked")
    assert (line["principal"], line["target"], line["client"]) == ("user:7", "key:3", "192.0.2.9")


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_no_event(caplog: Any) -> None:
    with transaction.atomic():
        record_action(actor="user:7", action="hold.placed", target="hold:1", at=clock.now())
        transaction.set_rollback(True)
    assert lines(caplog) == []


@pytest.mark.django_db(transaction=True)
def test_an_erasure_is_an_event_and_a_template_is_none(caplog: Any) -> None:
    at = clock.now()
    with transaction.atomic():
        record_erasure(7, reason="asked", actor="user:1", at=at)
        record_action(actor="user:1", action="template.publish", target="a.b", at=at)
    assert [line["action"] for line in lines(caplog)] == ["audit.erasure"]


def test_a_log_that_was_changed_is_an_event(caplog: Any, monkeypatch: Any) -> None:
    fault = SimpleNamespace(number=3, row="leaf 3", problem="another hash")
    report = SimpleNamespace(count=1, lost=(), faults=(fault,), first=fault, restores=())
    monkeypatch.setattr("carillon.cli.audit.setup_django", lambda: None)
    monkeypatch.setattr("notifications.features.audit.verify.verify_store", lambda *_, **__: report)
    assert CliRunner().invoke(audit, ["verify"]).exit_code == 1
    (line,) = lines(caplog)
    assert (line["event"], line["row"]) == ("security.audit_failed", "leaf 3")


PAGE = ROOT / "docs/security/events.md"


def test_the_page_of_events_lists_every_event_and_noun() -> None:
    rows = re.findall(r"^\| `([a-z._-]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert dict(rows) == {**EVENTS, **NOUNS}


def test_every_event_that_code_logs_is_listed() -> None:
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        found |= set(
            re.findall(r"\.(?:info|warning|error)\(\s*\"(security\.\w+)\"", path.read_text())
        )
    assert found - set(EVENTS) == set()
