"""Campaigns, series, A/B tests and mailing lists in the console."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from console.casting.seen import shown_of_templates
from console.casting.series.stored import shown_of_series
from directory.models import ListMembership, SubscriberList
from notifications.domain.callers import SYSTEM
from notifications.features.campaigns.variants.schemas import CampaignABTestBody
from notifications.features.experiments.service import ABTestService
from notifications.infra import clock
from notifications.models import (
    Campaign,
    CampaignHoldout,
    MailSeries,
    NotificationABTest,
    UserNotificationPreference,
)
from tests.integration.campaigns.factories import PATH as NEWS
from tests.integration.campaigns.factories import go_on, make_campaign, make_news
from tests.integration.campaigns.variant_factories import SHORT, make_tested
from tests.integration.console.conftest import As
from tests.integration.console.pressing import composer_fields, press
from tests.integration.console.test_actions import actions, post
from tests.integration.console.test_broadcasts import BERLIN, make_class, text_of
from tests.integration.experiments.conftest import PATH as USUAL
from tests.integration.experiments.conftest import SHORT as OTHER
from tests.integration.experiments.conftest import draft, make_plain
from tests.integration.factories import make_user, make_willing_user
from tests.integration.lists.factories import make_list, make_subscriber, status_of
from tests.integration.series.factories import change as series_change
from tests.integration.series.factories import go_on as series_go_on
from tests.integration.series.factories import happens, make_series

pytestmark = pytest.mark.django_db
NEW = "/console/campaigns/new"


def form(**values: Any) -> dict[str, Any]:
    """What the browser sends for a campaign to the members of a group."""
    group = values.pop("group", None) or make_class()
    return {
        "once": "first",
        "name": "May",
        "to_kind": [f"group:{group.pk}"],
        "to_value": [""],
        "template_path": NEWS,
        "context": "month=May",
        "channels": ["in_app"],
        "delivery": "all",
        "priority": "3",
        "late_zones": "send_now",
        "holdout_percent": "0",
        "do": "save",
        **values,
    }


class TestCampaigns:
    def test_a_campaign_is_written_counted_and_begun(self, operator: Client) -> None:
        make_news()
        group = make_class()
        counted = operator.post(NEW, form(group=group, do="count")).content.decode()
        assert "3 people in the audience." in counted
        given = form(
            group=group, per_minute="6000", holdout_percent="0.5", utm="utm_source=news",
            where_field=["role"], where_key=[""], where_operator=["eq"], where_value=["student"],
        )  # fmt: skip
        assert "The campaign was written." in post(operator, NEW, **given)
        row = Campaign.objects.get()
        assert row.context == {"month": "May"}
        assert (row.per_minute, row.holdout_percent) == (6000, 0.5)
        assert row.utm == {"utm_source": "news"}
        assert row.audience["all"][1]["criteria"] == {
            "field": "role", "op": "eq", "value": "student",
        }  # fmt: skip
        one = f"/console/campaigns/{row.pk}"
        assert "where role is student" in text_of(operator, one)
        assert "people in the audience." in text_of(operator, f"{one}/estimate")
        press(operator, f"{one}/launch")
        for _ in range(3):
            go_on()
        text = text_of(operator, one)
        assert "completed" in text
        assert f'hx-get="{one}/report"' in text
        assert "Messages" in text_of(operator, f"{one}/report")
        assert text_of(operator, f"{one}/recipients").count("<tr>") > 1
        assert "held out" in text_of(operator, f"{one}/recipients?status=held_out")
        assert actions()[-2:] == ["campaign.create", "campaign.launch"]

    def test_why_one_person_did_not_get_a_campaign(self, operator: Client) -> None:
        silent, other = make_user(first_name="Silent"), make_user(first_name="Other")
        held = make_user(first_name="Held")
        UserNotificationPreference.objects.create(user=silent, notifications_enabled=False)
        row = make_campaign(audience={"rule": "custom", "user_ids": [silent.pk]})
        path = f"/console/campaigns/{row.pk}/recipients?find="
        assert "the campaign has not begun" in text_of(operator, path + other.username)
        press(operator, f"/console/campaigns/{row.pk}/launch")
        go_on()
        text = text_of(operator, path + silent.username)
        assert "the person switched notifications off" in text
        assert "/console/notifications/" in text
        assert "was not in the audience" in text_of(operator, path + other.username)
        CampaignHoldout.objects.create(campaign=row, user=held)
        assert "is in the holdout" in text_of(operator, path + held.username)

    def test_a_script_gets_the_errors_in_the_part_that_it_shows(self, operator: Client) -> None:
        for path in (NEW, "/console/broadcasts/new"):
            answer = operator.post(path, {"do": "count"}, headers={"HX-Request": "true"})
            assert answer.status_code == 200
            assert "choose who gets it" in answer.content.decode().partition("aria-live")[2]

    def test_the_form_shows_what_it_wrote(self, operator: Client) -> None:
        make_news()
        make_news(SHORT)
        at = (clock.now() + timedelta(days=30)).strftime("%Y-%m-%dT09:00")
        given = form(
            scheduled_at=at, variant_name=["A", "B", ""], variant_template_path=["", SHORT, ""],
            variant_weight=["1", "2", "1"], test_percent="30", decide="deadline",
            deadline_hours="48", window_hours="5", test_channel="in_app", metric="click_rate",
            minimum_sample_size="50",
        )  # fmt: skip
        post(operator, NEW, **given)
        row = Campaign.objects.get()
        assert row.ab_test is not None
        assert [each["weight"] for each in row.ab_test["variants"]] == [1, 2]
        assert row.scheduled_at is not None
        assert row.scheduled_at.astimezone(BERLIN).strftime("%Y-%m-%dT%H:%M") == at
        edit = f"/console/campaigns/{row.pk}/edit"
        text = text_of(operator, edit)
        for shown in (f'value="{at}"', 'value="48"', "month=May", f'value="{SHORT}"'):
            assert shown in text
        before = dict(row.ab_test)
        post(operator, edit, **{**given, **composer_fields(operator, edit), "name": "June"})
        row.refresh_from_db()
        assert (row.name, row.ab_test) == ("June", before)
        assert set(before) <= set(CampaignABTestBody.__struct_fields__)

    def test_at_the_local_time_of_each_person(self, operator: Client) -> None:
        make_news()
        at = (clock.now() + timedelta(days=30)).strftime("%Y-%m-%dT09:00")
        post(operator, NEW, **form(scheduled_at=at, per_timezone="yes", late_zones="next_day"))
        row = Campaign.objects.get()
        assert (row.local_time, row.late_zones) == (f"{at}:00", "next_day")
        press(operator, f"/console/campaigns/{row.pk}/schedule")
        row.refresh_from_db()
        assert row.status == "scheduled"

    def test_errors_are_said_with_their_fields(self, operator: Client) -> None:
        answer = operator.post(NEW, form(template_path="no.such", context="nonsense"))
        assert answer.status_code == 400
        assert "<code>context</code>" in answer.content.decode()
        text = operator.post(NEW, form(group=make_class(name="8"), template_path="no.such"))
        assert "<code>template_path</code>" in text.content.decode()
        assert not Campaign.objects.exists()

    def test_a_second_person_approves_and_another_is_sent_back(self, as_role: As) -> None:
        make_news()
        author, other = as_role("operator"), as_role("admin")
        post(author, NEW, **form(needs_approval="yes"))
        made = Campaign.objects.get()
        one = f"/console/campaigns/{made.pk}"
        assert "approval of a second person" in press(author, f"{one}/launch")
        assert "cannot approve it" in post(
            author, f"{one}/approve", seen=shown_of_templates(Campaign.objects.get())
        )
        first = text_of(other, "/console")
        assert "1 campaign waits for approval" in first
        unasked = make_campaign(name="Only a draft")
        assert 'href="/console/campaigns?status=awaiting_approval"' in first
        waiting = text_of(other, "/console/campaigns?status=awaiting_approval")
        assert "May" in waiting
        assert "waits for approval" in waiting
        assert "Only a draft" not in waiting
        unasked.delete()
        assert "sent back" in post(other, f"{one}/reject", note="Name the day.")
        assert "Name the day." in text_of(author, one)
        press(author, f"{one}/launch")
        press(other, f"{one}/approve")
        assert Campaign.objects.get().status == "running"
        for action, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
            assert state in post(other, f"{one}/{action}")
        assert copy_of(other, one).name == "May (copy)"

    def test_variants_their_figures_and_the_winner(self, admin: Client) -> None:
        make_class(40)
        row = make_tested()
        one = f"/console/campaigns/{row.pk}"
        press(admin, f"{one}/launch")
        go_on()
        text = text_of(admin, one)
        assert "Not safe to stop" in text
        assert "Interval of the rate" in text
        test = NotificationABTest.objects.get()
        page = f"/console/experiments/{test.pk}"
        assert "The winner is B." in post(
            admin, f"{page}/declare", winner="B", reason="it is shorter"
        )
        go_on()
        text = text_of(admin, one)
        assert "it is shorter" in text
        assert "The winner is B" in text

    def test_what_it_says_is_in_a_frame(self, operator: Client) -> None:
        make_class()
        row = make_campaign()
        answer = operator.get(f"/console/campaigns/{row.pk}/frame/in_app")
        assert answer["Content-Security-Policy"].startswith("sandbox;")
        assert "What is new in May" in answer.content.decode()
        assert operator.get(f"/console/campaigns/{row.pk}/frame/sms").status_code == 404
        given = {"template_path": NEWS, "context": "month=June", "channels": "email"}
        shown = operator.post("/console/campaigns/preview", given).content.decode()
        assert "June" in shown
        given["template_path"] = "no.such"
        assert (
            "Nothing to show" in operator.post("/console/campaigns/preview", given).content.decode()
        )


def copy_of(client: Client, one: str) -> Campaign:
    press(client, f"{one}/duplicate")
    return Campaign.objects.latest("pk")


class TestSeries:
    def test_steps_show_who_waits_and_it_is_paused_and_ended(self, operator: Client) -> None:
        row = make_series(trigger={"on": "event", "event": "trial.started"})
        happens(make_willing_user(), make_willing_user())
        series_go_on()
        one = f"/console/series/{row.pk}"
        assert "Welcome" in text_of(operator, "/console/series?status=live")
        text = text_of(operator, one)
        assert "at the event «trial.started»" in text
        assert "Waiting for it: <strong>2</strong>" in text
        assert "after 2 days, at 09:00" in text
        for action, state in (("pause", "paused"), ("resume", "live"), ("end", "ended")):
            assert state in press(operator, f"{one}/{action}")
            assert MailSeries.objects.get().status == state
        assert "Not done:" in post(operator, f"{one}/launch")
        assert operator.post(f"{one}/nonsense").status_code == 404

    def test_a_second_person_approves_it_and_changes_of_it(
        self, as_role: As, override_environment: Any
    ) -> None:
        author, other = as_role("operator"), as_role("admin")
        row = make_series(live=False, needs_approval=True)
        one = f"/console/series/{row.pk}"
        assert "approval of a second person" in press(author, f"{one}/launch")
        seen = shown_of_series(MailSeries.objects.get())
        assert "cannot approve it" in post(author, f"{one}/approve", seen=seen)
        assert "because you wrote, changed or sent it" in text_of(author, one)
        first = text_of(other, "/console")
        assert "1 series waits for approval" in first
        assert 'href="/console/series?status=awaiting_approval"' in first
        assert "Welcome" in text_of(other, "/console/series?status=awaiting_approval")
        assert "sent back" in post(other, f"{one}/reject", note="Name the shop.")
        assert "Name the shop." in text_of(author, one)
        press(author, f"{one}/launch")
        assert "live" in press(other, f"{one}/approve")
        override_environment(learning="on")
        step = {"template_path": "welcome.two", "wait_days": 9, "send_time": "learned"}
        series_change(row, steps=[step])
        text = text_of(other, one)
        assert "after 9 days, at the learned hour of each person within 24 hours" in text
        assert 'version 2 <span class="quiet">waits for approval' in text
        press(other, f"{one}/approve")
        assert MailSeries.objects.get().version == 2

    @pytest.mark.parametrize(
        ("offset", "words"), [(0, "on the day"), (1, "1 day after"), (-3, "3 days before")]
    )
    def test_a_date_in_words(self, operator: Client, offset: int, words: str) -> None:
        trigger = {"on": "date", "attribute": "plan.ends", "offset_days": offset}
        row = make_series(live=False, trigger=trigger)
        assert words in text_of(operator, f"/console/series/{row.pk}")

    def test_a_list_in_words(self, operator: Client) -> None:
        found = make_list(name="School news")
        row = make_series(live=False, trigger={"on": "list", "list_id": found.pk})
        assert "«School news»" in text_of(operator, f"/console/series/{row.pk}")


class TestExperiments:
    def made(self) -> int:
        make_plain(OTHER, "Short")
        return draft(make_plain(USUAL, "Usual"))

    def test_a_test_is_started_paused_and_ended(self, admin: Client) -> None:
        one = f"/console/experiments/{self.made()}"
        assert "Short or usual" in text_of(admin, "/console/experiments")
        for action, state in (("start", "running"), ("pause", "paused"), ("start", "running")):
            assert state in post(admin, f"{one}/{action}")
        assert "Not safe to stop" in text_of(admin, one)
        assert "Not done:" in post(admin, f"{one}/declare", winner="Z")
        assert "completed" in post(admin, f"{one}/stop")
        assert "It has ended without a winner." in text_of(admin, one)
        assert admin.post(f"{one}/nonsense").status_code == 404

    def test_an_author_ends_tests_and_sees_no_figures_and_an_analyst_the_opposite(
        self, as_role: As
    ) -> None:
        key = self.made()
        ABTestService().start(identifier=key, caller=SYSTEM)
        one = f"/console/experiments/{key}"
        author = text_of(as_role("author"), one)
        assert "Declare a winner" in author
        assert "Interval of the rate" not in author
        analyst = text_of(as_role("analyst"), one)
        assert "Declare a winner" not in analyst
        assert "Interval of the rate" in analyst

    def test_the_test_of_a_campaign_is_ended_by_who_may_send_it(self, as_role: As) -> None:
        make_class(10)
        row = make_tested()
        press(as_role("admin"), f"/console/campaigns/{row.pk}/launch")
        one = f"/console/experiments/{NotificationABTest.objects.get().pk}"
        assert "Declare a winner" in text_of(as_role("admin"), one)
        assert "Declare a winner" not in text_of(as_role("author"), one)


class TestLists:
    def test_a_list_is_made_and_people_join_and_leave(self, admin: Client) -> None:
        given = {"name": "School news", "slug": "school-news", "category": "announcement"}
        assert "The list was made." in post(admin, "/console/lists", **given)
        found = SubscriberList.objects.get()
        assert (found.slug, found.double_opt_in) == ("school-news", False)
        one, person = f"/console/lists/{found.pk}", make_willing_user()
        post(admin, f"{one}/subscribe", person=person.email, wording="Send me the news.")
        assert status_of(found, person) == "subscribed"
        assert "On the list" in text_of(admin, one)
        assert person.first_name in text_of(admin, f"{one}?status=subscribed")
        assert person.first_name in text_of(admin, f"{one}?find={person.username}")
        post(admin, f"{one}/unsubscribe", person=person.pk)
        assert status_of(found, person) == "unsubscribed"
        again = post(admin, f"{one}/subscribe", person=person.pk)
        assert "Not done:" in again
        assert ListMembership.objects.get().source == "console"

    def test_errors_are_said(self, admin: Client) -> None:
        make_list(name="School news")
        answer = admin.post("/console/lists", {"name": "x", "slug": "-", "category": "no"})
        assert answer.status_code == 400
        assert "<code>slug</code>" in answer.content.decode()
        one = f"/console/lists/{SubscriberList.objects.get().pk}"
        make_user(first_name="Katherine")
        make_user(first_name="Katherine")
        assert "several people match" in post(admin, f"{one}/subscribe", person="katherine")
        assert "No one matches." in post(admin, f"{one}/subscribe", person="nobodyatall")
        assert admin.post(f"{one}/nonsense").status_code == 404
        assert admin.get("/console/lists/999999").status_code == 404

    def test_people_are_paged(self, operator: Client) -> None:
        found = make_list()
        for _ in range(51):
            make_subscriber(found)
        text = text_of(operator, f"/console/lists/{found.pk}")
        assert "after=" in text
        assert text.count("Remove<span") == 50
