"""Refresh tokens are exchanged once, and all tokens of a sign-in end together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.access.authentication import issue_access, new_drf_token
from notifications.features.access.tokens.families import REPEATABLE, issue_tokens, refresh_tokens
from notifications.infra import clock
from notifications.models import InstallationState, Notification, OperatorAction, SignIn
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.api.conftest import bearer
from tests.integration.factories import make_user
from tests.integration.sign_in.conftest import GOOD, Factor, make_staff

pytestmark = pytest.mark.django_db
DOOR = "/api/v1/preferences"


def opens(token: str) -> bool:
    status = bearer(token).get(DOOR).status_code
    assert status in (200, 401)
    return status == 200


def renew(api: APIClient, refresh: str) -> Any:
    return api.post("/api/v1/auth/refresh", {"refresh": refresh})


class TestRotation:
    def test_each_exchange_gives_a_new_pair_of_the_same_family(
        self, api: APIClient, user: User, frozen: Any
    ) -> None:
        pair = issue_tokens(user, now=clock.now())
        for _ in range(3):
            frozen.forward(60)
            response = renew(api, pair.refresh)
            assert response.status_code == 200
            assert response.data["refresh"] != pair.refresh
            pair = refresh_pair(response)
        assert SignIn.objects.get().generation == 3
        assert opens(pair.access)

    def test_an_older_one_ends_the_family(self, api: APIClient, user: User, frozen: Any) -> None:
        first = issue_tokens(user, now=clock.now())
        second = refresh_pair(renew(api, first.refresh))
        assert opens(second.access)
        frozen.forward(REPEATABLE.total_seconds())
        reused = renew(api, first.refresh)

        assert (reused.status_code, reused.data["code"]) == (401, "refresh_token_reused")
        assert renew(api, second.refresh).data["code"] == "invalid_token"
        assert not opens(second.access)
        assert not opens(first.access)
        assert OperatorAction.objects.filter(action="sign-in.reused").count() == 1

    def test_a_lost_answer_can_be_requested_again_for_some_seconds(
        self, api: APIClient, user: User, frozen: Any
    ) -> None:
        first = issue_tokens(user, now=clock.now())
        lost = refresh_pair(renew(api, first.refresh))
        frozen.forward(REPEATABLE.total_seconds() - 1)
        again = refresh_pair(renew(api, first.refresh))

        assert SignIn.objects.get().generation == 1
        assert renew(api, again.refresh).status_code == 200
        assert opens(lost.access)

    def test_one_that_is_two_exchanges_old_is_never_accepted(
        self, api: APIClient, user: User, frozen: Any
    ) -> None:
        first = issue_tokens(user, now=clock.now())
        second = refresh_pair(renew(api, first.refresh))
        renew(api, second.refresh)
        assert renew(api, first.refresh).data["code"] == "refresh_token_reused"

    def test_a_family_ends_at_its_age_however_often_it_is_renewed(
        self, api: APIClient, user: User, frozen: Any
    ) -> None:
        refresh = issue_tokens(user, now=clock.now()).refresh
        days = 0
        while (response := renew(api, refresh)).status_code == 200:
            refresh = response.data["refresh"]
            frozen.forward(6 * 86_400)
            days += 6
        assert 84 <= days <= 96

    @pytest.mark.parametrize("claim", [None, "1", 1.0, True, 0, -1, 1 << 63, [], {}])
    def test_a_token_of_no_family_is_refused(self, api: APIClient, user: User, claim: Any) -> None:
        claims = {"user_id": user.pk, "aud": "carillon:refresh", "exp": 99_999_999_999}
        more = {"carillon_sign_in": claim, "generation": 0}
        token = jwt.encode({**claims, **more}, settings.JWT_SECRET, "HS256")
        assert renew(api, token).data["code"] == "invalid_token"

    def test_a_family_of_another_person_is_refused(self, api: APIClient, user: User) -> None:
        pair = issue_tokens(make_user(), now=clock.now())
        claims = jwt.decode(pair.refresh, options={"verify_signature": False})
        forged = jwt.encode({**claims, "user_id": user.pk}, settings.JWT_SECRET, "HS256")
        assert renew(api, forged).data["code"] == "invalid_token"
        assert SignIn.objects.count() == 1


def refresh_pair(response: Any) -> Any:
    class Pair:
        access = response.data["access"]
        refresh = response.data["refresh"]

    return Pair


class TestEndings:
    def test_an_access_token_ends_with_its_family_within_a_second(
        self, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The row is deleted as another process would do it: nothing here is informed."""
        now = [1_000.0]
        monkeypatch.setattr(clock, "monotonic", lambda: now[0])
        token = issue_tokens(user, now=clock.now()).access
        assert opens(token)
        SignIn.objects.all().delete()
        now[0] += 1.1
        assert not opens(token)

    def test_a_changed_password_ends_access_tokens_of_families(
        self, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [1_000.0]
        monkeypatch.setattr(clock, "monotonic", lambda: now[0])
        token = issue_tokens(user, now=clock.now()).access
        assert opens(token)
        user.set_password("another horse 7")
        user.save()
        now[0] += 1.1
        assert not opens(token)

    @pytest.mark.parametrize("iat", ["none", "before", "after"])
    def test_tokens_of_the_platform_end_by_a_time_of_their_person(
        self, as_staff: APIClient, user: User, iat: str
    ) -> None:
        claims = {"user_id": user.pk, "aud": "carillon", "exp": 99_999_999_999}
        seconds = {"none": None, "before": -10, "after": 10}[iat]
        if seconds is not None:
            claims["iat"] = int(clock.now().timestamp()) + seconds
        token = jwt.encode(claims, settings.JWT_SECRET, "HS256")
        other = jwt.encode({**claims, "user_id": make_user().pk}, settings.JWT_SECRET, "HS256")
        assert opens(token)

        response = as_staff.post(f"/api/v1/users/{user.pk}/tokens/revoke")

        assert response.status_code == 200
        assert opens(token) is (iat == "after")
        assert opens(other)

    def test_tokens_from_before_a_restore_have_ended(self, user: User) -> None:
        before = issue_access(user, now=clock.now() - timedelta(seconds=5))
        assert opens(before)
        InstallationState.objects.settle(at=clock.now(), backup_at=None)
        from notifications.features.access.callers import CACHE

        CACHE.clear()
        assert not opens(before)
        assert opens(issue_access(user, now=clock.now() + timedelta(seconds=1)))

    @pytest.mark.parametrize("everywhere", [False, True])
    def test_a_logout_ends_its_own_sign_in_or_everything(
        self, user: User, everywhere: bool
    ) -> None:
        pair, other = (issue_tokens(user, now=clock.now()) for _ in range(2))
        response = bearer(pair.access).post("/api/v1/auth/logout", {"everywhere": everywhere})

        assert response.status_code == 200
        assert response.data == {"ended": 2 if everywhere else 1}
        assert not opens(pair.access)
        assert opens(other.access) is not everywhere

    def test_a_token_of_the_platform_has_no_logout_of_its_own(self, user: User) -> None:
        token = issue_access(user, now=clock.now())
        response = bearer(token).post("/api/v1/auth/logout", {})
        assert (response.status_code, response.data["code"]) == (409, "no_sign_in")
        assert bearer(token).post("/api/v1/auth/logout", {"everywhere": True}).status_code == 200
        assert not opens(token)

    def test_a_key_has_no_sign_in(self, with_key: Any) -> None:
        response = with_key("staff:write").post("/api/v1/auth/logout", {})
        assert (response.status_code, response.data["code"]) == (409, "no_sign_in")


class TestListing:
    def test_a_person_sees_and_ends_their_own(self, user: User) -> None:
        pair, other = (issue_tokens(user, now=clock.now()) for _ in range(2))
        issue_tokens(make_user(), now=clock.now())
        client = bearer(pair.access)
        found = client.get("/api/v1/auth/sessions").data["results"]

        assert [each["kind"] for each in found] == ["tokens", "tokens"]
        assert [each["current"] for each in found] == [True, False]
        assert client.delete(f"/api/v1/auth/sessions/{found[1]['id']}").status_code == 204
        assert not opens(other.access)
        assert opens(pair.access)

    def test_a_list_has_pages(self, user: User) -> None:
        token, *_ = (issue_tokens(user, now=clock.now()).access for _ in range(3))
        first = bearer(token).get("/api/v1/auth/sessions?limit=2").data
        second = bearer(token).get(first["next"]).data
        assert (len(first["results"]), len(second["results"])) == (2, 1)

    def test_another_persons_are_for_admins(self, user: User) -> None:
        issue_tokens(user, now=clock.now())
        row = SignIn.objects.get()
        for role, status in (("admin", 200), ("operator", 403), ("author", 403)):
            client = bearer(issue_access(make_staff(role), now=clock.now()))
            found = client.get(f"/api/v1/auth/sessions?user_id={user.pk}")
            assert found.status_code == status, role
            if status == 403:
                assert client.delete(f"/api/v1/auth/sessions/{row.pk}").status_code == 404
        assert SignIn.objects.filter(pk=row.pk).exists()
        client = bearer(issue_access(make_staff("admin"), now=clock.now()))
        assert client.delete(f"/api/v1/auth/sessions/{row.pk}").status_code == 204


@pytest.mark.parametrize("usable", ["true", "false"])
def test_a_password_that_an_admin_changes_or_switches_off_ends_every_token(
    staff: User, usable: str
) -> None:
    user, client = make_staff(), Client()
    client.force_login(staff)
    tokens = [new_drf_token(user), issue_tokens(user, now=clock.now()).access]
    form = {"password1": "another horse 7", "password2": "another horse 7"}
    path = f"/admin/directory/user/{user.pk}/password/"
    button = "set-password" if usable == "true" else "unset-password"
    answer = client.post(path, {**form, "usable_password": usable, button: "on"})
    assert answer.status_code == 302
    user.refresh_from_db()
    assert user.has_usable_password() is (usable == "true")
    assert [opens(each) for each in tokens] == [False, False]


class TestPasswordsByApi:
    def post(self, api: APIClient, **more: str) -> Any:
        return api.post("/api/v1/auth/token", {"username": "lovelace", "password": GOOD, **more})

    def test_a_second_factor_is_needed(self, api: APIClient) -> None:
        factor = Factor(make_staff(username="lovelace"))
        without = self.post(api)
        assert (without.status_code, without.data["code"]) == (401, "second_factor_required")
        assert self.post(api, code="000000").data["code"] == "invalid_credentials"
        code = factor.code()
        assert self.post(api, code=code).status_code == 200
        assert self.post(api, code=code).data["code"] == "invalid_credentials"
        assert SignIn.objects.get().second_factor

    def test_a_required_one_that_is_missing_is_set_up_first(
        self, api: APIClient, override_environment: Any
    ) -> None:
        override_environment(require_second_factor="staff")
        make_staff(username="lovelace")
        response = self.post(api)
        assert (response.status_code, response.data["code"]) == (403, "second_factor_missing")
        assert "/account/login" in response.data["detail"]

    def test_single_sign_on_leaves_no_way_around(
        self, api: APIClient, override_environment: Any
    ) -> None:
        override_environment(single_sign_on_enforced=True)
        user = make_staff("admin", username="lovelace")
        response = self.post(api)
        assert (response.status_code, response.data["code"]) == (403, "single_sign_on_required")
        user.break_glass = True
        user.save()
        assert self.post(api).status_code == 200

    def test_a_family_by_password_is_not_renewed_once_single_sign_on_is_enforced(
        self, api: APIClient, override_environment: Any
    ) -> None:
        pair = issue_tokens(make_staff(), now=clock.now())
        override_environment(single_sign_on_enforced=True)
        assert renew(api, pair.refresh).data["code"] == "invalid_token"
        assert not opens(pair.access)

    def test_the_end_of_a_break_glass_account_ends_its_tokens_within_a_second(
        self, override_environment: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [1_000.0]
        monkeypatch.setattr(clock, "monotonic", lambda: now[0])
        override_environment(single_sign_on_enforced=True)
        user = make_staff("admin", break_glass=True)
        token = issue_tokens(user, now=clock.now()).access
        assert opens(token)
        User.objects.filter(pk=user.pk).update(break_glass=False)
        now[0] += 1.1
        assert not opens(token)

    def test_a_break_glass_account_is_reported_by_this_way_too(
        self, api: APIClient, override_environment: Any, caplog: Any
    ) -> None:
        override_environment(single_sign_on_enforced=True)
        user = make_staff("admin", username="lovelace", break_glass=True)
        make_staff("admin")
        assert self.post(api, password="wrong horse 9").status_code == 401
        assert not OperatorAction.objects.filter(action="sign-in.break_glass").exists()
        assert self.post(api).status_code == 200
        action = OperatorAction.objects.get(action="sign-in.break_glass")
        assert (action.actor, action.target) == (f"user:{user.pk}", f"user:{user.pk}")
        assert Notification.objects.count() == 2  # to both admins
        events = [each.msg for each in caplog.records if each.name == "carillon.security"]
        (line,) = [each for each in events if each["event"] == "security.break_glass"]
        assert (line["principal"], line["client"]) == (f"user:{user.pk}", "127.0.0.1")

    def test_an_admin_who_cannot_be_written_to_closes_no_emergency_account(
        self, api: APIClient, override_environment: Any, caplog: Any
    ) -> None:
        override_environment(single_sign_on_enforced=True)
        make_staff("admin", username="lovelace", break_glass=True)
        other = make_staff("admin", email="not an address")
        assert self.post(api).status_code == 200
        assert Notification.objects.count() == 1
        events = [each.msg for each in caplog.records if each.name == "carillon.security"]
        (line,) = [each for each in events if each["event"] == "security.notice_failed"]
        assert line["principal"] == f"user:{other.pk}"

    def test_a_right_password_does_not_clear_the_count_of_wrong_codes(
        self, api: APIClient, frozen: Any
    ) -> None:
        factor = Factor(make_staff(username="lovelace"))
        waits = []
        for _ in range(6):
            answer = self.post(api, code="000000")
            if answer.status_code == 429:
                waits.append(int(answer["Retry-After"]))
                frozen.forward(waits[-1])
                self.post(api, code="000000")
            frozen.forward(waits[-1] * 2 if waits else 0)
            assert self.post(api).data["code"] in ("second_factor_required", "throttled")
        assert len(waits) > 1
        assert waits == sorted(waits)
        frozen.forward(900)
        assert self.post(api, code=factor.code()).status_code == 200

    def test_wrong_codes_wait_like_wrong_passwords(self, api: APIClient, frozen: Any) -> None:
        Factor(make_staff(username="lovelace"))
        answers = [self.post(api, code="000000").status_code for _ in range(4)]
        assert answers == [401, 401, 401, 429]


def test_two_exchanges_in_python_are_one_family(user: User) -> None:
    pair = issue_tokens(user, now=clock.now())
    again = refresh_tokens(pair.refresh, now=clock.now())
    assert SignIn.objects.count() == 1
    assert again.expires_in == 3600
