"""An account of staff begins with an invitation: a link that is accepted once."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from carillon.cli.caller import CALLER
from directory.models import User
from notifications.domain.staff_rights import RIGHTS
from notifications.features.access.authentication import issue_access
from notifications.features.signing_in.invitations import InvitationService, link_of
from notifications.features.signing_in.password_reset import link_of as reset_link_of
from notifications.features.signing_in.password_reset import sealed_address, send_reset_links
from notifications.features.signing_in.schemas import InvitationBody
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import (
    ApiKey,
    Notification,
    OperatorAction,
    QueuedTask,
    SignIn,
    StaffGroup,
    StaffInvitation,
)
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.api.conftest import bearer
from tests.integration.factories import delete_row, make_user
from tests.integration.sign_in.conftest import GOOD, is_signed_in, make_staff, sign_in

pytestmark = pytest.mark.django_db
INVITATIONS = "/api/v1/staff/invitations"


def invite(client: APIClient, **more: Any) -> Any:
    return client.post(INVITATIONS, {"email": "Grace@example.com", "role": "author", **more})


def path_of(invitation: StaffInvitation) -> str:
    return link_of(invitation).removeprefix(environment().public_url)


def accept(client: Client, path: str, **more: str) -> Any:
    form = {"username": "grace", "password": GOOD, "again": GOOD, **more}
    return client.post(path, form)


class TestInviting:
    def test_a_mail_goes_out_and_the_change_is_recorded(self, as_staff: APIClient) -> None:
        group = StaffGroup.objects.create(name="marketing")
        response = invite(as_staff, groups=[group.pk])

        assert response.status_code == 201
        assert response.data["email"] == "grace@example.com"
        assert response.data["groups"] == [group.pk]
        assert Notification.objects.count() == 1
        assert OperatorAction.objects.filter(action="staff.invited").exists()
        assert as_staff.get(INVITATIONS).data["results"][0]["id"] == response.data["id"]

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("email", "not an address", "invalid_address"),
            ("role", "owner", "invalid_choice"),
            ("groups", [999], "unknown_group"),
        ],
    )
    def test_wrong_fields_are_named(
        self, as_staff: APIClient, field: str, value: Any, code: str
    ) -> None:
        response = invite(as_staff, **{field: value})
        assert (response.status_code, response.data["code"]) == (400, code)
        assert response.data["errors"][0]["path"] == field

    @pytest.mark.parametrize("role", ["operator", "author", "analyst"])
    def test_only_admins_invite(self, role: str) -> None:
        client = bearer(issue_access(make_staff(role), now=clock.now()))
        assert invite(client).status_code == 403
        assert not StaffInvitation.objects.exists()

    def test_a_second_one_to_the_same_address_replaces_the_first(self, as_staff: APIClient) -> None:
        invite(as_staff)
        first = StaffInvitation.objects.get()
        path = path_of(first)
        invite(as_staff)
        assert Client().get(path).status_code == 404
        assert StaffInvitation.objects.get().pk != first.pk

    def test_a_revoked_one_opens_nothing(self, as_staff: APIClient) -> None:
        number = invite(as_staff).data["id"]
        path = path_of(StaffInvitation.objects.get())
        assert as_staff.delete(f"{INVITATIONS}/{number}").status_code == 204
        assert Client().get(path).status_code == 404
        assert accept(Client(), path).status_code == 404
        assert as_staff.delete(f"{INVITATIONS}/{number}").data["code"] == "unknown_invitation"


class TestAccepting:
    def test_a_password_makes_the_account_and_signs_in(self, as_staff: APIClient) -> None:
        group = StaffGroup.objects.create(name="marketing")
        invite(as_staff, groups=[group.pk], locale="ru")
        client = Client()
        path = path_of(StaffInvitation.objects.get())
        page = client.get(path)
        assert page["Referrer-Policy"] == "same-origin"
        response = accept(client, path)

        assert (response.status_code, response["Location"]) == (302, "/account")
        user = User.objects.get(username="grace")
        assert (user.email, user.staff_role, user.locale) == ("grace@example.com", "author", "ru")
        assert [each.group_id for each in user.staff_groups.all()] == [group.pk]
        assert is_signed_in(client)
        assert SignIn.objects.get().user == user
        assert OperatorAction.objects.filter(action="staff.joined").exists()

    def test_it_works_once(self, as_staff: APIClient) -> None:
        invite(as_staff)
        path = path_of(StaffInvitation.objects.get())
        accept(Client(), path)
        again = accept(Client(), path, username="other")
        assert again.status_code == 404
        assert not User.objects.filter(username="other").exists()
        number = StaffInvitation.objects.get().pk
        response = as_staff.delete(f"{INVITATIONS}/{number}")
        assert (response.status_code, response.data["code"]) == (409, "invitation_accepted")

    @pytest.mark.parametrize(
        ("form", "what"),
        [
            ({"password": "short", "again": "short"}, "at least 10"),
            ({"again": "different horse 9"}, "different"),
            ({"username": "taken"}, "taken"),
            ({"username": ""}, "visible characters"),
        ],
    )
    def test_wrong_forms_say_what_to_correct(
        self, as_staff: APIClient, form: dict[str, str], what: str
    ) -> None:
        make_user(username="taken")
        invite(as_staff)
        path = path_of(StaffInvitation.objects.get())
        response = accept(Client(), path, **form)
        assert response.status_code == 400
        assert what in response.content.decode()
        assert StaffInvitation.objects.get().accepted_at is None

    def test_it_ends_after_its_hours(self, as_staff: APIClient, frozen: Any) -> None:
        invite(as_staff)
        path = path_of(StaffInvitation.objects.get())
        frozen.forward(72 * 3600)
        assert Client().get(path).status_code == 404

    @pytest.mark.parametrize("token", ["x", "i.1.2.x", "i.%20.1.x", "9" * 300])
    def test_a_forged_one_opens_nothing(self, token: str, db: None) -> None:
        assert Client().get(f"/invitation/{token}").status_code == 404

    def test_a_recipient_with_the_address_stays_a_recipient(self, as_staff: APIClient) -> None:
        """An address finds no account: the recipient may have entered a foreign one."""
        recipient = make_user(email="grace@example.com")
        invite(as_staff)
        accept(Client(), path_of(StaffInvitation.objects.get()))
        recipient.refresh_from_db()
        assert recipient.staff_role is None
        assert User.objects.get(username="grace").pk != recipient.pk

    def test_an_existing_member_gets_a_new_password(self, as_staff: APIClient) -> None:
        member = make_staff("analyst", username="noether")
        old = Client()
        sign_in(old, "noether")
        invite(as_staff, member_id=member.pk)
        client = Client()
        new = "another horse 7"
        accept(client, path_of(StaffInvitation.objects.get()), password=new, again=new)

        assert is_signed_in(client)
        assert not is_signed_in(old)
        member.refresh_from_db()
        assert member.staff_role == "analyst"
        assert member.check_password(new)


class TestHolding:
    """An invitation gives no more than its inviter may still give."""

    def test_a_link_to_an_authors_account_opens_no_admins(self, with_key: Any) -> None:
        member = make_staff("author", username="noether")
        response = invite(
            with_key(*RIGHTS["author"], "staff:write"), member_id=member.pk, email="e@evil.example"
        )
        assert response.status_code == 201
        path = path_of(StaffInvitation.objects.get())
        member.staff_role = "admin"
        member.save()
        new = "another horse 7"
        assert Client().get(path).status_code == 404
        assert accept(Client(), path, password=new, again=new).status_code == 404
        member.refresh_from_db()
        assert not member.check_password(new)

    @pytest.mark.parametrize("state", [{"staff_role": None}, {"is_active": False}])
    def test_a_member_who_is_none_any_more_is_not_let_in(
        self, as_staff: APIClient, state: dict[str, Any]
    ) -> None:
        member = make_staff("author", username="noether")
        invite(as_staff, member_id=member.pk)
        path = path_of(StaffInvitation.objects.get())
        assert Client().get(path).status_code == 200
        for name, value in state.items():
            setattr(member, name, value)
        member.save()
        assert accept(Client(), path).status_code == 404

    @pytest.mark.parametrize("end", ["role", "active", "row"])
    def test_it_ends_with_the_rights_of_the_person_who_invited(
        self, as_staff: APIClient, staff: User, end: str
    ) -> None:
        make_staff("admin")
        invite(as_staff, role="admin")
        path = path_of(StaffInvitation.objects.get())
        assert Client().get(path).status_code == 200
        if end == "role":
            staff.staff_role = "operator"
            staff.save()
        elif end == "active":
            staff.is_active = False
            staff.save()
        else:
            delete_row(staff.pk)
        assert accept(Client(), path).status_code == 404
        assert not User.objects.filter(username="grace").exists()

    @pytest.mark.parametrize("change", [{"revoked_at": True}, {"scopes": ["staff:write"]}])
    def test_it_ends_with_the_key_that_invited(self, change: dict[str, Any]) -> None:
        key, text = ApiKey.make(name="k", scopes=["staff:write", *RIGHTS["author"]])
        invite(bearer(text))
        path = path_of(StaffInvitation.objects.get())
        assert Client().get(path).status_code == 200
        if "revoked_at" in change:
            change = {"revoked_at": clock.now()}
        ApiKey.objects.filter(pk=key.pk).update(**change)
        assert accept(Client(), path).status_code == 404

    def test_one_of_the_command_line_stays(self) -> None:
        body = InvitationBody(email="grace@example.com", role="admin")
        InvitationService().invite(body, caller=CALLER)
        assert accept(Client(), path_of(StaffInvitation.objects.get())).status_code == 302


def test_it_is_deleted_when_its_address_is_erased(as_staff: APIClient) -> None:
    invite(as_staff)
    invite(as_staff, email="else@example.com")
    erased = StaffInvitation.objects.get(email="grace@example.com")
    path = path_of(erased)
    answer = as_staff.post(
        "/api/v1/privacy/addresses/erase", {"email": "GRACE@example.com", "reason": "asked"}
    )
    assert answer.status_code == 202, answer.data
    assert StaffInvitation.objects.get().email == "else@example.com"
    assert Client().get(path).status_code == 404


class TestNewPasswords:
    def test_every_address_gets_the_same_answer_and_the_same_work(
        self, author: User, django_assert_max_num_queries: Any
    ) -> None:
        author.email = "ada@example.org"
        author.save()
        answers = []
        for email in ("ada@example.org", "nemo@example.org"):
            before = QueuedTask.objects.count()
            response = Client().post("/account/password/reset", {"email": email})
            answers.append((response.status_code, response.content.split(b"</h1>")[1]))
            assert QueuedTask.objects.count() == before + 1
        assert answers[0] == answers[1]
        assert not Notification.objects.exists()
        stored = "".join(str(row) for row in QueuedTask.objects.values_list())
        assert "ada@example.org" not in stored

    def test_only_staff_get_a_link(self, author: User, override_environment: Any) -> None:
        author.email = "ada@example.org"
        author.save()
        make_user(email="student@example.org")
        assert send_reset_links(sealed_address(" Ada@example.org ")) == 1
        assert send_reset_links(sealed_address("student@example.org")) == 0
        override_environment(single_sign_on_enforced=True)
        assert send_reset_links(sealed_address("ada@example.org")) == 0

    def test_a_link_works_once_and_ends_everything(self, author: User) -> None:
        old = Client()
        sign_in(old)
        path = reset_link_of(author).removeprefix(environment().public_url)
        author.refresh_from_db()
        path = reset_link_of(author).removeprefix(environment().public_url)
        new = "another horse 7"
        assert Client().get(path).status_code == 200
        weak = Client().post(path, {"password": "short", "again": "short"})
        assert weak.status_code == 400
        response = Client().post(path, {"password": new, "again": new})

        assert (response.status_code, response["Location"]) == (302, "/account/login")
        assert not is_signed_in(old)
        assert not SignIn.objects.exists()
        assert Client().post(path, {"password": GOOD, "again": GOOD}).status_code == 404
        client = Client()
        sign_in(client, password=new)
        assert is_signed_in(client)

    @pytest.mark.parametrize("token", ["x", "1.x", ".", "9" * 300, "1.a-b", "\u0661.x"])
    def test_a_forged_link_opens_nothing(self, author: User, token: str) -> None:
        assert Client().get(f"/new-password/{token}").status_code == 404

    def test_requests_are_counted(self, author: User, frozen: Any) -> None:
        codes = [
            Client().post("/account/password/reset", {"email": "a@example.org"}).status_code
            for _ in range(6)
        ]
        assert codes == [200] * 5 + [429]
