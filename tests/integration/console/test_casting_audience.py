"""What an edit of a broadcast or a campaign does to its audience: nothing that was not written."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from console.casting.fields.audience import (
    MOST_ROWS,
    AudienceForm,
    AudienceRow,
    form_of_audience,
    shown_audience,
)
from console.casting.fields.choices import audience_in_words
from directory.models import GroupMembership, Segment, User
from notifications.domain.errors import InvalidRequest
from notifications.engine.shared_rows import refresh_categories
from notifications.infra import clock
from notifications.models import Broadcast, Campaign, Category
from tests.integration.broadcasts.factories import make_broadcast, make_people
from tests.integration.campaigns.factories import PATH as NEWS
from tests.integration.campaigns.factories import make_news
from tests.integration.console.test_actions import post
from tests.integration.console.test_broadcasts import NEW, form, make_class, text_of
from tests.integration.console.test_casting import form as campaign_form

pytestmark = pytest.mark.django_db
MANY = {"rule": "custom", "user_ids": [100_000 + each for each in range(3_000)]}
TEACHERS = {"rule": "all_teachers"}


def sent_by_browser(page: str) -> dict[str, Any]:
    """Returns the fields of the form on a page as a browser sends them."""
    page = page.partition('class="composer"')[2].partition("</form>")[0]
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<(?:input|textarea|select)\b.*?>(?:[^<]*</textarea>)?", page):
        name = re.search(r'name="([^"]+)"', tag)
        if name is None:
            continue
        value = re.search(r'value="([^"]*)"', tag)
        text = value[1] if value else ""
        if tag.startswith("<textarea"):
            text = tag.partition(">")[2].removesuffix("</textarea>")
        if tag.startswith("<select"):
            rest = page.partition(tag)[2].partition("</select>")[0]
            page = page.partition(tag)[2]
            chosen = re.search(r'value="([^"]*)" selected', rest)
            first = re.search(r'<option value="([^"]*)"', rest)
            text = chosen[1] if chosen else first[1] if first else ""
        if 'type="checkbox"' in tag and "checked" not in tag:
            continue
        found.setdefault(name[1], []).append(html.unescape(text).replace("\n", "\r\n"))
    return dict(found)


@pytest.mark.parametrize(
    "audience",
    [
        MANY,
        {"any": [TEACHERS] * (MOST_ROWS + 5)},
        {"from": {"rule": "all"}, "except": {"any": [TEACHERS] * (MOST_ROWS + 5)}},
        {
            "rule": "segment",
            "criteria": {"field": "external_id", "op": "in", "value": ["x" * 40] * 1_000},
        },
    ],
)
def test_what_rows_cannot_hold_is_in_the_form_as_json(audience: dict[str, Any]) -> None:
    shown = form_of_audience(audience)
    assert shown.audience() == audience
    assert shown.text
    words = audience_in_words(shown_audience(audience))
    assert words
    assert len(" ".join(words)) < 3_000


def test_too_many_rows_and_too_long_ones_are_refused() -> None:
    rows = [AudienceRow("all_teachers")]
    for wrong in (
        AudienceForm(to=rows * (MOST_ROWS + 1)),
        AudienceForm(to=rows, without=rows * (MOST_ROWS + 1)),
        AudienceForm(to=[AudienceRow("custom", "1 " * 20_000)]),
    ):
        with pytest.raises(InvalidRequest):
            wrong.audience()
    assert len(AudienceForm(to=rows * 25).with_blanks().to) == 25


def test_a_corrected_title_leaves_three_thousand_people_alone(operator: Client) -> None:
    people = make_people(3)
    ids = [*people, *MANY["user_ids"]]
    row = make_broadcast(target_group="custom", target_filter={"user_ids": ids}, title="Shcool")
    edit = f"/console/broadcasts/{row.pk}/edit"
    given = {**sent_by_browser(text_of(operator, edit)), "title": "School", "do": "save"}
    assert "The broadcast was changed." in post(operator, edit, **given)
    row.refresh_from_db()
    assert (row.title, row.target_group) == ("School", "custom")
    assert row.target_filter == {"user_ids": ids}


def test_a_long_list_is_refused_and_stays_in_the_form(operator: Client) -> None:
    ids = " ".join(str(each) for each in MANY["user_ids"])
    given = form(make_class(), to_kind=["custom"], to_value=[ids])
    answer = operator.post(NEW, given)
    assert answer.status_code == 400
    assert ids in answer.content.decode()
    assert not Broadcast.objects.exists()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"without_kind": [""], "without_value": ["17 18"]}, "choose what «17 18» names"),
        ({"to_kind": ["all", ""], "to_value": ["", "9"]}, "choose what «9» names"),
        (
            {
                "where_field": [""],
                "where_key": [""],
                "where_operator": ["eq"],
                "where_value": ["x"],
            },
            "choose the field of the condition «x»",
        ),
        ({"audience": '{"rule": "all"}'}, "choose rows or write JSON, not both"),
    ],
)
def test_a_row_that_is_incomplete_is_never_dropped(
    operator: Client, written: dict[str, Any], said: str
) -> None:
    answer = operator.post(NEW, form(make_class(), **written))
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not Broadcast.objects.exists()


def test_a_variant_without_a_name_is_never_dropped(operator: Client) -> None:
    make_news()
    given = campaign_form(
        variant_name=["A", "B", ""], variant_template_path=["", "", NEWS], variant_weight=["1"] * 3
    )
    answer = operator.post("/console/campaigns/new", given)
    assert answer.status_code == 400
    assert "give each variant a name" in answer.content.decode()
    assert not Campaign.objects.exists()


def test_a_category_that_is_not_among_the_first_stays(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Category.objects.create(key="zoo", name="Zoo")
    refresh_categories()
    monkeypatch.setattr("console.categories.MOST", 1)
    group = make_class()
    post(operator, NEW, **form(group, category="zoo"))
    row = Broadcast.objects.get()
    edit = f"/console/broadcasts/{row.pk}/edit"
    page = text_of(operator, edit)
    assert '<option value="zoo" selected>' in page
    given = {**sent_by_browser(page), "title": "Open again", "do": "save"}
    assert "was changed" in post(operator, edit, **given)
    row.refresh_from_db()
    assert (row.title, row.category) == ("Open again", "zoo")


def test_a_category_that_was_retired_is_refused_and_not_replaced(operator: Client) -> None:
    retired = Category.objects.create(key="zoo", name="Zoo", retired_at=clock.now())
    refresh_categories()
    make_class()
    row = make_broadcast(category=retired.key)
    edit = f"/console/broadcasts/{row.pk}/edit"
    given = {**sent_by_browser(text_of(operator, edit)), "do": "save"}
    assert given["category"] == ["zoo"]
    answer = operator.post(edit, given)
    assert answer.status_code == 400
    assert "<code>category</code>" in answer.content.decode()


def test_a_count_leaves_out_the_segments_of_the_campaign(operator: Client) -> None:
    make_news()
    group = make_class()
    post(operator, "/console/campaigns/new", **campaign_form(group=group))
    row = Campaign.objects.get()
    edit = f"/console/campaigns/{row.pk}/edit"
    given = campaign_form(group=group, do="count")
    assert "3 people in the audience." in operator.post(edit, given).content.decode()
    criteria = {"field": "role", "op": "eq", "value": "student"}
    segment = Segment.objects.create(name="Pupils", criteria=criteria)
    Campaign.objects.update(exclude=[segment.pk])
    person = GroupMembership.objects.filter(group=group).earliest("user_id").user_id
    User.objects.filter(pk=person).update(role="student")
    User.objects.exclude(pk=person).update(role="teacher")
    assert "2 people in the audience." in operator.post(edit, given).content.decode()
    assert "saved segment «Pupils»" in text_of(operator, edit)
