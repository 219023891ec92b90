"""The landing page, the outbox, the admin and the error pages."""

from __future__ import annotations

import re
from typing import Any

import jwt
import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from directory.models import User
from notifications.domain.channels import Channel
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import AuditQueued, SandboxMessage
from tests.integration.factories import make_messages, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def store(number: int, *, channel: str = "email", **content: Any) -> SandboxMessage:
    """Stores a message like the sandbox provider."""
    full = {
        "recipient": "ada@example.com",
        "title": "Your receipt",
        "body": "Paid 29.99",
        "html": "",
        "data": {},
        "headers": {},
        "provider": "sandbox",
        "priority": 3,
        "category": "payment",
        **content,
    }
    return SandboxMessage.objects.create(
        message_id=number, channel=channel, content=full, at=clock.now()
    )


def page(client: Client, address: str = "/outbox/", **options: Any) -> str:
    response = client.get(address, **options)
    assert response.status_code == 200
    return response.content.decode()


class TestLanding:
    def test_the_landing_page_has_links_and_a_first_call(self, client: Client) -> None:
        text = page(client, "/")

        for address in ("/outbox/", "/demo/", "/api/docs/", "/health", "/metrics", "/admin/"):
            assert f'href="{address}"' in text
        assert "carillon send user.payment.success --to student1" in text
        assert "/api/v1/notifications/send" in text

    def test_in_production_it_mentions_no_demo_and_no_administration(
        self, client: Client, override_environment: Any
    ) -> None:
        override_environment(production=True)

        for text in (page(client, "/"), client.get("/nowhere").content.decode()):
            for word in ("demo", "admin", "token", "outbox", "metrics", "carillon send"):
                assert word not in text.lower(), word
            assert 'href="/api/docs/"' in text

    def test_in_production_every_response_requires_https(
        self, client: Client, override_environment: Any
    ) -> None:
        assert "Strict-Transport-Security" not in client.get("/")
        override_environment(production=True)
        for address in ("/", "/nowhere", "/api/v1/users", "/api/v1/nowhere", "/outbox"):
            assert (
                client.get(address)["Strict-Transport-Security"]
                == "max-age=31536000; includeSubDomains"
            )

    def test_it_loads_nothing_from_another_host(self, client: Client) -> None:
        loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page(client, "/"))

        assert loaded
        assert all(address.startswith("/") for address in loaded)

    def test_every_link_leads_somewhere(self, client: Client) -> None:
        links = set(re.findall(r"<a[^>]* href=\"([^\"]+)\"", page(client, "/")))
        assert "/health" in links  # no worker is alive here: it responds 503

        assert client.get("/health").status_code == 503
        links.remove("/health")
        assert {client.get(address).status_code for address in links} <= {200, 302}


class TestOutbox:
    def test_an_empty_outbox_shows_how_to_send(self, client: Client) -> None:
        assert "carillon send" in page(client)

    def test_the_newest_come_first(self, client: Client) -> None:
        store(1, title="Mail one")
        store(2, title="Mail two")

        text = page(client)

        assert text.index("Mail two") < text.index("Mail one")

    def test_a_mail_is_shown_as_a_mail(self, client: Client) -> None:
        row = store(1, html="<p>Paid</p>", headers={"From": "Shop <shop@example.com>"})

        text = page(client)

        assert "Your receipt" in text
        assert "ada@example.com" in text
        assert "Shop &lt;shop@example.com&gt;" in text
        assert f'<iframe src="/outbox/{row.pk}/html" sandbox="' in text
        assert "allow-scripts" not in text
        assert "Paid 29.99" in text

    @pytest.mark.parametrize(
        ("channel", "shape"),
        [("sms", "bubble"), ("telegram", "bubble"), ("push", "card"), ("webhook", "plain")],
    )
    def test_each_channel_has_its_shape(self, client: Client, channel: str, shape: str) -> None:
        store(1, channel=channel)

        assert f'class="message {shape}"' in page(client)

    @pytest.mark.parametrize("channel", list(Channel))
    def test_every_channel_can_be_shown_and_filtered(self, client: Client, channel: str) -> None:
        store(1, channel=channel, data={"order": 7})

        text = page(client, f"/outbox/?channel={channel}")

        assert text.count("<article") == 1
        assert "&quot;order&quot;: 7" in text

    def test_another_channel_is_left_out(self, client: Client) -> None:
        store(1, channel="sms")

        assert "<article" not in page(client, "/outbox/?channel=email")

    def test_message_texts_are_escaped(self, client: Client) -> None:
        for number, channel in enumerate(Channel):
            evil = "<script>alert(1)</script>"
            store(number, channel=channel, title=evil, body=evil, recipient=evil)

        assert "<script>alert" not in page(client)

    def test_pages_go_back_by_key(self, client: Client) -> None:
        for number in range(25):
            store(number, title=f"mail {number:02}")

        first = page(client)
        older = re.search(r'href="(/outbox/\?[^"]*before=[^"]*)"', first)
        assert older is not None
        second = page(client, older[1].replace("&amp;", "&"))

        assert first.count("<article") == 20
        assert second.count("<article") == 5
        assert "mail 00" in second
        assert "before=" not in second

    def test_the_html_part_is_served_in_a_sandbox_of_its_own(self, client: Client) -> None:
        row = store(1, html='<h1>Hello</h1><script>parent.x()</script><img src="http://x.test/p">')

        response = client.get(f"/outbox/{row.pk}/html")

        assert response.status_code == 200
        policy = response["Content-Security-Policy"]
        assert policy.startswith("sandbox ")
        assert "allow-scripts" not in policy
        assert "allow-same-origin" not in policy
        assert "default-src 'none'" in policy
        base = environment().public_url
        assert f"; img-src data: {base}/static/; " in policy  # a tracking pixel is elsewhere
        assert "http:" not in policy.replace(base, "")

    @pytest.mark.parametrize("number", [999_999, 10**30])
    def test_a_mail_without_html_is_404(self, client: Client, number: int) -> None:
        row = store(1)

        assert client.get(f"/outbox/{row.pk}/html").status_code == 404
        assert client.get(f"/outbox/{number}/html").status_code == 404


class TestWhoSeesTheOutbox:
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_clients_on_loopback_see_the_outbox(self, client: Client, address: str) -> None:
        assert client.get("/outbox/", REMOTE_ADDR=address).status_code == 200

    @pytest.mark.parametrize(
        "host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "carillon.localhost", "carillon"]
    )
    def test_own_host_names_are_admitted(self, client: Client, host: str) -> None:
        assert client.get("/outbox/", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        ("_case", "options"),
        [
            ("from elsewhere", {"REMOTE_ADDR": "10.0.0.7"}),
            ("nowhere", {"REMOTE_ADDR": ""}),
            ("through a proxy", {"HTTP_X_FORWARDED_FOR": "10.0.0.7"}),
            ("by a rebound name", {"HTTP_HOST": "evil.example.com"}),
        ],
    )
    def test_other_clients_must_log_in(
        self, client: Client, _case: str, options: dict[str, Any]
    ) -> None:
        row = store(1, html="<p>x</p>")

        for address in ("/outbox/", f"/outbox/{row.pk}/html"):
            response = client.get(address, **options)
            assert response.status_code == 302
            assert response["Location"].startswith("/admin/login/?next=/outbox")

    @pytest.mark.parametrize(
        "header",
        [
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "Via",
            "Forwarded",
            "X-Real-IP",
            "CF-Connecting-IP",
        ],
    )
    def test_a_proxy_is_recognized_by_its_headers(self, client: Client, header: str) -> None:
        assert client.get("/outbox/", headers={header: "127.0.0.1"}).status_code == 302

    def test_in_production_staff_only(self, client: Client, override_environment: Any) -> None:
        override_environment(production=True)

        for header in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP"):
            assert client.get("/outbox/", headers={header: "127.0.0.1"}).status_code == 302
        assert client.get("/outbox/").status_code == 302
        client.force_login(make_user())
        assert client.get("/outbox/").status_code == 302
        client.force_login(make_user(is_staff=True))
        assert client.get("/outbox/").status_code == 200

    @pytest.mark.parametrize(("role", "shown"), [("operator", False), ("admin", True)])
    def test_security_messages_are_for_admins(
        self, client: Client, override_environment: Any, role: str, shown: bool
    ) -> None:
        """They carry links to new passwords, an admin's too."""
        override_environment(production=True)
        store(1, title="A receipt")
        row = store(2, title="A new password", category="security", html="<p>link</p>")
        client.force_login(make_user(staff_role=role))

        text = page(client)

        assert "A receipt" in text
        assert ("A new password" in text) is shown
        assert client.get(f"/outbox/{row.pk}/html").status_code == (200 if shown else 404)


class TestDemo:
    @pytest.fixture
    def student(self) -> User:
        return make_user(username="student1")

    def token(self, client: Client, **options: Any) -> Any:
        return client.post("/demo/token", **options)

    def test_a_caller_of_this_machine_is_the_student(self, client: Client, student: User) -> None:
        text = page(client, "/demo/")
        assert 'data-csrf="' in text
        assert "eyJ" not in text, "the page itself contains no token"

        token = self.token(client).json()["token"]
        response = client.get("/api/v1/preferences", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["user_id"] == str(student.uuid)
        assert claims["exp"] - claims["iat"] <= 600
        entry = AuditQueued.objects.latest("pk")
        assert (entry.action, entry.target) == ("token.issued", f"user:{student.pk}")

    @pytest.mark.usefixtures("student")
    @pytest.mark.parametrize(
        "options",
        [
            {"REMOTE_ADDR": "10.0.0.7"},
            {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
            {"HTTP_HOST": "evil.example.com"},
        ],
    )
    def test_others_are_asked_for_a_token(self, client: Client, options: dict[str, Any]) -> None:
        text = page(client, "/demo/", **options)

        assert "data-csrf" not in text
        assert 'id="sign-in"' in text
        assert self.token(client, **options).status_code == 404

    @pytest.mark.usefixtures("student")
    def test_another_site_gets_no_token(self) -> None:
        assert self.token(Client(enforce_csrf_checks=True)).status_code == 403

    @pytest.mark.usefixtures("student")
    def test_production_has_no_demo(self, client: Client, override_environment: Any) -> None:
        override_environment(production=True)

        assert client.get("/demo/").status_code == 404
        assert self.token(client).status_code == 404

    def test_without_demo_data_it_is_asked_for_a_token(self, client: Client) -> None:
        assert 'id="sign-in"' in page(client, "/demo/")
        assert self.token(client).status_code == 404

    def test_a_person_with_a_role_is_no_demo(self, client: Client) -> None:
        make_user(username="student1", is_staff=True, staff_role="admin")
        assert self.token(client).status_code == 404


class TestErrors:
    def test_an_unknown_page_is_a_page(self, client: Client) -> None:
        response = client.get("/no/such/page")

        assert response.status_code == 404
        assert response["Content-Type"].startswith("text/html")

    @pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/nothing/", "/api/"])
    def test_an_unknown_call_is_a_problem(self, client: Client, path: str) -> None:
        response = client.get(path)

        assert response.status_code == 404
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "not_found"
        assert "/api/docs/" in response.json()["detail"]

    def test_an_unknown_admin_route_gets_the_documented_error_form(self, client: Client) -> None:
        response = client.get("/api/admin/nothing/")

        assert response.status_code == 404
        assert response.json()["success"] is False

    def test_an_unknown_method_names_the_known_ones(self, client: Client) -> None:
        response = client.put("/api/v1/notifications/send")

        assert response.status_code == 405
        assert response["Allow"] == "POST"
        assert response.json()["code"] == "method_not_allowed"

    def test_a_head_request_gets_the_status_of_a_get(self, client: Client) -> None:
        assert client.head("/health/live").status_code == 200

    def test_an_internal_error_reveals_nothing_and_is_logged(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("internal secret")

        client.raise_request_exception = False
        monkeypatch.setattr("notifications.features.operations.health.queue_depth", fail)
        response = client.get("/health", headers={"X-Request-ID": "find-me"})
        assert response.status_code == 500
        assert b"internal secret" not in response.content
        assert response["X-Request-ID"] == "find-me"

    def test_an_unknown_host_is_a_bad_request(self, client: Client, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["carillon.test"]

        response = client.get("/outbox", headers={"Host": "other.test"})

        assert response.status_code == 400


class TestAdmin:
    @pytest.fixture
    def boss(self, client: Client) -> User:
        user = make_user(is_staff=True, is_superuser=True)
        client.force_login(user)
        return user

    @pytest.mark.usefixtures("boss")
    @pytest.mark.parametrize(
        "model", [m for m in admin.site._registry if m._meta.app_label == "notifications"]
    )
    def test_rows_are_listed_and_cannot_be_changed(self, client: Client, model: Any) -> None:
        make_messages(1)
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"

        assert client.get(reverse(f"{name}_changelist")).status_code == 200
        assert client.get(reverse(f"{name}_add")).status_code == 403
        row = model._default_manager.first()
        if row is not None:
            shown = client.get(reverse(f"{name}_change", args=[row.pk]))
            assert shown.status_code == 200
            assert b'name="_save"' not in shown.content

    @pytest.mark.usefixtures("boss")
    @pytest.mark.parametrize("model", ["user", "contactpoint", "device"])
    def test_people_are_listed(self, client: Client, model: str) -> None:
        make_user()

        assert client.get(f"/admin/directory/{model}/?q=1").status_code == 200

    def test_a_person_can_be_edited(self, client: Client, boss: User) -> None:
        assert client.get(f"/admin/directory/user/{boss.pk}/change/").status_code == 200

    def test_visitors_of_the_admin_must_log_in(self, client: Client) -> None:
        assert client.get("/admin").status_code == 302
