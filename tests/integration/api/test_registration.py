"""Devices, proofs of addresses, and Telegram's link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from directory.models import AddressProof, ContactPoint, Device, User
from notifications.models import Notification
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
API = "/api/v1"
SUBSCRIPTION = {
    "endpoint": "https://push.example.org/send/abc",
    "expirationTime": None,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6S"
        "RpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


class TestDevices:
    def test_a_token_is_registered_seen_again_and_forgotten(
        self, as_user: APIClient, user: User
    ) -> None:
        made = as_user.post(f"{API}/devices", {"token": "t-1", "platform": "android"})
        again = as_user.post(f"{API}/devices", {"token": "t-1", "platform": "android"})

        assert (made.status_code, made.data["kind"]) == (201, "fcm")
        assert again.data["id"] == made.data["id"]
        assert [d["id"] for d in as_user.get(f"{API}/devices").data["results"]] == [made.data["id"]]
        assert as_user.delete(f"{API}/devices/{made.data['id']}").status_code == 204
        assert not Device.objects.filter(user=user).exists()

    def test_a_browsers_subscription_is_taken_as_it_says_itself(
        self, as_user: APIClient, user: User
    ) -> None:
        made = as_user.post(f"{API}/devices", SUBSCRIPTION)

        assert (made.status_code, made.data["kind"]) == (201, "webpush")
        device = Device.objects.get(user=user)
        assert (device.token, device.keys) == (SUBSCRIPTION["endpoint"], SUBSCRIPTION["keys"])

    def test_who_logs_in_on_a_phone_takes_its_token_over(
        self, as_user: APIClient, user: User
    ) -> None:
        Device.objects.create(user=make_user(), token="shared")

        as_user.post(f"{API}/devices", {"token": "shared"})

        assert Device.objects.get(token="shared").user == user

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"token": "x" * 1001},
            {"token": "t", "kind": "pager"},
            {"token": "t", "keys": {"auth": "a"}},
            {**SUBSCRIPTION, "keys": {}},
            {**SUBSCRIPTION, "endpoint": "http://push.example.org/"},
        ],
    )
    def test_what_is_no_device_is_refused(self, as_user: APIClient, body: dict[str, Any]) -> None:
        answer = as_user.post(f"{API}/devices", body)

        assert (answer.status_code, answer.data["code"]) == (400, "invalid_device")

    def test_no_one_touches_somebody_elses_device(self, as_user: APIClient) -> None:
        other = Device.objects.create(user=make_user(), token="other")

        assert as_user.delete(f"{API}/devices/{other.pk}").data["code"] == "unknown_device"
        assert as_user.get(f"{API}/devices?user_id={other.user_id}").status_code == 403

    def test_a_service_registers_for_people(self, with_key: Callable[..., APIClient]) -> None:
        user = make_user()
        service = with_key("users:write", "users:read")

        made = service.post(f"{API}/devices", {"token": "t", "user_id": user.pk})

        assert made.status_code == 201
        assert service.post(f"{API}/devices", {"token": "t"}).data["code"] == "required"

    def test_devices_do_not_grow_without_end(
        self, frozen: Any, as_staff: APIClient, staff: User, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("notifications.features.people.devices.MAX_DEVICES", 2)
        for n in range(4):
            frozen.forward(1)
            as_staff.post(f"{API}/devices", {"token": f"t{n}"})

        assert {device.token for device in Device.objects.filter(user=staff)} == {"t2", "t3"}

    def test_browsers_find_the_key_and_the_worker(self, api: APIClient) -> None:
        assert len(api.get(f"{API}/devices/vapid-key").data["public_key"]) == 87
        script = api.get("/carillon-sw.js")
        assert script["Content-Type"].startswith("text/javascript")
        assert b"showNotification" in script.content


def sent_code() -> str:
    """The code of the latest notification to an address."""
    row = Notification.objects.order_by("pk").last()
    assert row is not None
    return str(row.context["code"])


class TestProofs:
    @pytest.mark.parametrize(
        ("kind", "address", "stored"),
        [
            ("email", "new@EXAMPLE.org", "new@example.org"),
            ("phone", "+4915112345678", "+4915112345678"),
        ],
    )
    def test_an_address_is_proved_by_its_code(
        self, as_user: APIClient, user: User, kind: str, address: str, stored: str
    ) -> None:
        begun = as_user.post(f"{API}/verifications", {"kind": kind, "address": address})
        assert (begun.status_code, begun.data.get("attempts_left")) == (201, 5), begun.data
        assert not ContactPoint.objects.filter(user=user, address=stored).exists()

        taken = as_user.post(f"{API}/verifications/confirm", {"kind": kind, "code": sent_code()})

        assert (taken.status_code, taken.data["address"]) == (200, stored)
        point = ContactPoint.objects.get(user=user, kind=kind)
        assert (point.address, point.state) == (stored, "active")
        assert point.verified_at is not None
        again = as_user.post(f"{API}/verifications/confirm", {"kind": kind, "code": sent_code()})
        assert (again.status_code, again.data["code"]) == (409, "no_code")

    def test_a_code_is_guessed_five_times_at_most(self, as_user: APIClient, user: User) -> None:
        as_user.post(f"{API}/verifications", {"kind": "email", "address": "n@example.org"})
        right = sent_code()
        wrong = "000000" if right != "000000" else "000001"

        for _ in range(5):
            answer = as_user.post(f"{API}/verifications/confirm", {"kind": "email", "code": wrong})
            assert (answer.status_code, answer.data["code"]) == (400, "wrong_code")

        last = as_user.post(f"{API}/verifications/confirm", {"kind": "email", "code": right})
        assert (last.status_code, last.data["code"]) == (409, "no_code")
        assert right not in AddressProof.objects.get(user=user).code_hash

    def test_a_code_runs_out(self, frozen: Any, as_staff: APIClient) -> None:
        as_staff.post(f"{API}/verifications", {"kind": "email", "address": "n@example.org"})
        frozen.forward(601)

        late = as_staff.post(f"{API}/verifications/confirm", {"kind": "email", "code": sent_code()})

        assert late.data["code"] == "no_code"

    def test_codes_are_not_sent_without_end(self, frozen: Any, as_staff: APIClient) -> None:
        body = {"kind": "email", "address": "n@example.org"}
        for _ in range(5):
            assert as_staff.post(f"{API}/verifications", body).status_code == 201

        refused = as_staff.post(f"{API}/verifications", body)
        assert (refused.status_code, refused.data["code"]) == (429, "too_many_codes")
        frozen.forward(3600)
        assert as_staff.post(f"{API}/verifications", body).status_code == 201

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"kind": "fax", "address": "1"}, "invalid_choice"),
            ({"kind": "email", "address": "unknown"}, "invalid_address"),
            ({"kind": "phone", "address": "12"}, "invalid_address"),
        ],
    )
    def test_what_cannot_be_an_address_is_refused(
        self, as_user: APIClient, body: dict[str, str], code: str
    ) -> None:
        answer = as_user.post(f"{API}/verifications", body)

        assert (answer.status_code, answer.data["code"]) == (400, code)


class TestTelegram:
    @pytest.fixture
    def bot(self, settings: Any) -> None:
        settings.CARILLON = replace(settings.CARILLON, telegram_bot_name="@bell_bot")

    def update(self, api: APIClient, text: str, chat: int = 77, **headers: str) -> Any:
        body = {
            "update_id": 1,
            "message": {"chat": {"id": chat, "type": "private"}, "text": text},
        }
        secret = headers.get("secret", settings.TELEGRAM_WEBHOOK_SECRET)
        return api.post(
            f"{API}/telegram/webhook", body, HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN=secret
        )

    def code(self, client: APIClient) -> str:
        link = client.get(f"{API}/telegram/link").data["url"]
        assert urlsplit(link).path == "/bell_bot"
        return parse_qs(urlsplit(link).query)["start"][0]

    @pytest.mark.usefixtures("bot")
    def test_a_chat_is_connected_by_its_link_once(
        self, as_user: APIClient, api: APIClient, user: User
    ) -> None:
        code = self.code(as_user)

        said = self.update(api, f"/start {code}")

        assert (said.data["method"], said.data["chat_id"]) == ("sendMessage", 77)
        user.refresh_from_db()
        assert user.telegram_id == "77"
        point = ContactPoint.objects.get(user=user, kind="telegram")
        assert (point.address, point.state) == ("77", "active")
        assert "not valid any more" in self.update(api, f"/start {code}", chat=78).data["text"]
        user.refresh_from_db()
        assert user.telegram_id == "77"

    @pytest.mark.usefixtures("bot")
    def test_links_run_out(self, frozen: Any, as_staff: APIClient, api: APIClient) -> None:
        code = self.code(as_staff)
        frozen.forward(3601)

        assert "not valid any more" in self.update(api, f"/start {code}").data["text"]

    def test_stop_and_a_block_end_the_chat(self, api: APIClient) -> None:
        user = make_user(telegram_id="77")

        self.update(api, "/stop")
        assert ContactPoint.objects.get(user=user, kind="telegram").state == "unsubscribed"

        body = {
            "update_id": 2,
            "my_chat_member": {"chat": {"id": 77}, "new_chat_member": {"status": "kicked"}},
        }
        api.post(
            f"{API}/telegram/webhook",
            body,
            HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN=settings.TELEGRAM_WEBHOOK_SECRET,
        )
        point = ContactPoint.objects.get(user=user, kind="telegram")
        assert (point.state, point.state_reason) == ("bounced", "bot_blocked")

    def test_updates_that_are_not_telegrams_do_nothing(self, api: APIClient) -> None:
        make_user(telegram_id="77")

        answer = self.update(api, "/stop", secret="guess")

        assert (answer.status_code, answer.data["code"]) == (403, "wrong_secret")
        assert ContactPoint.objects.get(address="77").state == "active"

    @pytest.mark.parametrize(
        "body",
        [
            {"update_id": 1},
            {"update_id": 1, "message": 5},
            {"update_id": 1, "message": {"chat": {"id": -5, "type": "group"}, "text": "/stop"}},
            {"update_id": 1, "message": {"text": "/start x"}},
        ],
    )
    def test_other_updates_are_let_pass(self, api: APIClient, body: dict[str, Any]) -> None:
        answer = api.post(
            f"{API}/telegram/webhook",
            body,
            HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN=settings.TELEGRAM_WEBHOOK_SECRET,
        )

        assert (answer.status_code, answer.data) == (200, {})

    def test_without_a_bot_there_is_no_link(self, as_user: APIClient) -> None:
        assert as_user.get(f"{API}/telegram/link").data["code"] == "no_bot"
