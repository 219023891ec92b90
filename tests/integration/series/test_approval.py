"""A second person releases a series: never who wrote, changed or sent it, nor an API key."""

from __future__ import annotations

from typing import Any

import pytest

from directory.models import User
from notifications.domain.errors import Conflict, Refused
from notifications.features.series.reading import series_report
from notifications.models import Category, MailSeries, NotificationTemplate, OperatorAction
from tests.integration.campaigns.factories import staff
from tests.integration.factories import make_user
from tests.integration.series.factories import (
    KEY,
    PATHS,
    SERVICE,
    THREE,
    act,
    change,
    fresh,
    go_on,
    happens,
    mails_of,
    make_mail,
    make_series,
    where,
)

pytestmark = pytest.mark.django_db
STEPS = ("launch", "resume", "pause", "end")


@pytest.fixture
def author(frozen: Any) -> User:
    return make_user(is_staff=True, role="teacher")


@pytest.fixture
def reviewer(frozen: Any) -> User:
    return make_user(is_staff=True, role="teacher")


def asked(author: User, **values: Any) -> MailSeries:
    """A draft whose launch waits for approval."""
    made = make_series(live=False, caller=staff(author), needs_approval=True, **values)
    return act("launch", made, caller=staff(author))


def approved(author: User, reviewer: User, **values: Any) -> MailSeries:
    return act("approve", asked(author, **values), caller=staff(reviewer))


def reject(made: MailSeries, by: User) -> MailSeries:
    given = {"note": "Wait longer", "caller": staff(by), "now": made.created_at}
    SERVICE.reject(identifier=made.pk, **given)
    return fresh(made)


def states(made: MailSeries) -> tuple[str, str, str]:
    return made.status, made.approval, made.requested


def test_a_launch_waits_for_another_person(author: User, reviewer: User) -> None:
    made = asked(author)
    assert states(made) == ("draft", "requested", "launch")
    early, late = make_user(), make_user()
    happens(early)
    for refused, code in ((staff(author), "self_approval"), (KEY, "person_required")):
        with pytest.raises(Refused) as caught:
            act("approve", made, caller=refused)
        assert caught.value.code == code
    for action in STEPS:
        with pytest.raises(Conflict) as conflict:
            act(action, made, caller=staff(author))
        assert conflict.value.data == {"status": "draft", "approval": "requested"}
    made = act("approve", made, caller=staff(reviewer))
    assert states(made) == ("live", "approved", "")
    assert made.approved_by_id == reviewer.pk
    happens(late)
    go_on()
    assert (mails_of(made, early), mails_of(made, late)) == ([], [PATHS[0]])
    entries = OperatorAction.objects.filter(target=f"series:{made.uuid}").order_by("pk")
    assert [each.action for each in entries] == [
        "series.create",
        "series.launch",
        "series.approve",
    ]
    assert entries.last().actor == f"user:{reviewer.pk}"


def test_without_a_need_no_one_is_asked(author: User) -> None:
    made = make_series(caller=staff(author))
    assert states(made) == ("live", "none", "")
    for action in ("approve", "reject"):
        more = {"note": "No"} if action == "reject" else {}
        with pytest.raises(Conflict):
            getattr(SERVICE, action)(
                identifier=made.pk, caller=staff(author), now=made.created_at, **more
            )


def test_where_broadcasts_have_a_limit_each_series_needs_it(
    author: User, reviewer: User, override_environment: Any
) -> None:
    override_environment(broadcast_approval_threshold=1000)
    made = act("launch", make_series(live=False, caller=staff(author)), caller=staff(author))
    assert states(made) == ("draft", "requested", "launch")
    assert act("approve", made, caller=staff(reviewer)).status == "live"


def test_a_rejected_one_is_a_draft_with_a_note(author: User, reviewer: User) -> None:
    made = reject(asked(author), reviewer)
    assert states(made) == ("draft", "rejected", "")
    assert made.review_note == "Wait longer"
    assert act("launch", made, caller=staff(author)).approval == "requested"
    assert act("approve", made, caller=staff(reviewer)).review_note == ""


def test_a_change_of_a_draft_withdraws_the_request_and_involves(
    author: User, reviewer: User
) -> None:
    made = change(asked(author), caller=staff(reviewer), steps=THREE[:1])
    assert states(made) == ("draft", "none", "")
    with pytest.raises(Conflict):
        act("approve", made, caller=staff(reviewer))
    act("launch", made, caller=staff(author))
    with pytest.raises(Refused):
        act("approve", made, caller=staff(reviewer))


def test_only_a_second_person_ends_the_need(author: User, reviewer: User) -> None:
    made = make_series(live=False, caller=staff(author), needs_approval=True)
    for caller, code in ((staff(author), "self_approval"), (KEY, "person_required")):
        with pytest.raises(Refused) as caught:
            change(made, caller=caller, needs_approval=False)
        assert caught.value.code == code
    assert change(made, caller=staff(reviewer), needs_approval=False).needs_approval is False
    assert act("launch", made, caller=staff(author)).status == "live"


class TestChangesOfAnOpenSeries:
    def test_no_one_enters_the_new_steps_before_their_approval(
        self, author: User, reviewer: User
    ) -> None:
        made = approved(author, reviewer)
        made = change(made, caller=staff(author), steps=[{"template_path": PATHS[2]}])
        assert states(made) == ("live", "requested", "change")
        shown = SERVICE.get(identifier=made.pk, caller=KEY)
        assert [each.template_path for each in shown.steps] == list(PATHS)
        assert [each.template_path for each in shown.requested_steps or ()] == [PATHS[2]]
        assert {each.version for each in series_report(made).steps} == {1}
        first, second = make_user(), make_user()
        happens(first)
        go_on()
        made = act("approve", made, caller=staff(reviewer))
        assert (states(made), made.version) == (("live", "approved", ""), 2)
        happens(second)
        go_on()
        assert (mails_of(made, first), mails_of(made, second)) == ([PATHS[0]], [PATHS[2]])

    def test_a_rejected_change_leaves_what_was_approved(self, author: User, reviewer: User) -> None:
        made = change(approved(author, reviewer), caller=staff(author), steps=THREE[:1])
        made = reject(made, reviewer)
        assert states(made) == ("live", "rejected", "")
        assert SERVICE.get(identifier=made.pk, caller=KEY).requested_steps is None
        person = make_user()
        happens(person)
        go_on()
        assert mails_of(made, person) == [PATHS[0]]
        act("pause", made)
        assert act("resume", made, caller=staff(author)).status == "live"

    def test_the_same_steps_again_withdraw_the_request(self, author: User, reviewer: User) -> None:
        made = change(approved(author, reviewer), caller=staff(author), steps=THREE[:1])
        made = change(made, caller=staff(author), name="Hello")
        assert states(made) == ("live", "requested", "change")
        made = change(made, caller=staff(author), steps=THREE)
        assert states(made) == ("live", "approved", "")
        assert made.versions.count() == 1

    def test_the_end_withdraws_the_request(self, author: User, reviewer: User) -> None:
        made = change(approved(author, reviewer), caller=staff(author), steps=THREE[:1])
        made = act("end", made, caller=staff(author))
        assert states(made) == ("ended", "approved", "")
        assert made.versions.count() == 1


class TestWhatWasApproved:
    @pytest.mark.parametrize("what", ["version", "category"])
    def test_another_text_or_category_pauses_it_and_asks_again(
        self, author: User, reviewer: User, what: str
    ) -> None:
        made = approved(author, reviewer)
        person = make_user()
        happens(person)
        values = {
            "version": {"current_version_id": make_mail("other").current_version_id},
            "category": {"category": Category.objects.get(key="course")},
        }
        NotificationTemplate.objects.filter(path=PATHS[0]).update(**values[what])
        go_on()
        made = fresh(made)
        assert states(made) == ("paused", "requested", "resume")
        assert PATHS[0] in made.error
        assert where(made, person) == ("waiting", 0, "")
        with pytest.raises(Conflict):
            act("resume", made, caller=staff(author))
        with pytest.raises(Refused):
            act("approve", made, caller=staff(author))
        made = act("approve", made, caller=staff(reviewer))
        assert (states(made), made.error) == (("live", "approved", ""), "")
        go_on()
        assert where(made, person)[1] == 1

    def test_one_that_was_launched_before_the_limit_goes_on_and_asks_at_a_resume(
        self, author: User, reviewer: User, override_environment: Any
    ) -> None:
        made, person = make_series(caller=staff(author)), make_user()
        override_environment(broadcast_approval_threshold=1)
        happens(person)
        go_on()
        assert mails_of(made, person) == [PATHS[0]]
        act("pause", made, caller=staff(author))
        made = act("resume", made, caller=staff(author))
        assert states(made) == ("paused", "requested", "resume")
        assert act("approve", made, caller=staff(reviewer)).status == "live"
