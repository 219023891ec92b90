"""The forms of categories and segments: made, changed, refused, and not overwritten."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from console.casting.surveys import A_MINUTE
from directory.models import Segment
from notifications.models import AuditQueued, Category
from tests.integration.console.conftest import As
from tests.integration.console.pressing import composer_fields
from tests.integration.console.test_actions import actions
from tests.integration.console.test_records import post, text_of
from tests.integration.console.test_statements import statements
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
CATEGORIES, SEGMENTS = "/console/categories", "/console/segments"
CHANGED = "it was changed since you opened the page"


def category_form(**values: Any) -> dict[str, Any]:
    """What the browser sends for a category."""
    return {
        "once": "first",
        "do": "save",
        "key": "club",
        "name": "Club",
        "legal_basis": "consent",
        "crash_policy": "hold",
        "marketing": "yes",
        "unsubscribable": "yes",
        "retention_days": "90",
        "cap_limit": ["3", "", "1"],
        "cap_window": ["2", "", "90"],
        "cap_unit": ["days", "days", "minutes"],
        "cap_channel": ["", "", "email"],
        "switch_sms": "yes",
        "switch_push": "no",
        "digest_frequency": "daily",
        **values,
    }


def segment_form(**values: Any) -> dict[str, Any]:
    """What the browser sends for a segment."""
    return {
        "once": "first",
        "do": "save",
        "name": "Teachers",
        "description": "For the staff room",
        "match": "all",
        "where_field": ["role", ""],
        "where_key": ["", ""],
        "where_operator": ["eq", "eq"],
        "where_value": ["teacher", ""],
        **values,
    }


class TestCategories:
    def test_it_is_made_once_with_what_the_form_says(self, admin: Client) -> None:
        new = f"{CATEGORIES}/new"
        assert "The category was made." in post(admin, new, **category_form())
        post(admin, new, **category_form())
        row = Category.objects.get(key="club")
        assert (row.name, row.legal_basis, row.crash_policy) == ("Club", "consent", "hold")
        assert (row.marketing, row.unsubscribable, row.trackable) == (True, True, False)
        assert row.retention_days == 90
        assert row.caps == [
            {"limit": 3, "window_s": 172_800},
            {"limit": 1, "window_s": 5_400, "channel": "email"},
        ]
        assert row.default_preferences == {
            "sms_enabled": True, "push_enabled": False, "digest_frequency": "daily",
        }  # fmt: skip
        assert AuditQueued.objects.filter(action="category.made").count() == 1

    def test_the_form_shows_what_it_wrote_and_changes_it(self, admin: Client) -> None:
        post(admin, f"{CATEGORIES}/new", **category_form())
        row = Category.objects.get(key="club")
        before = (row.caps, row.default_preferences)
        edit = f"{CATEGORIES}/{row.pk}/edit"
        text = text_of(admin, edit)
        for shown in ('value="90"', '<option value="minutes" selected>', '"daily" selected'):
            assert shown in text
        given = category_form(**composer_fields(admin, edit), name="Clubs", trackable="yes")
        assert "The category was changed." in post(admin, edit, **given)
        row.refresh_from_db()
        assert (row.name, row.trackable, row.key) == ("Clubs", True, "club")
        assert (row.caps, row.default_preferences) == before
        assert AuditQueued.objects.filter(action="category.changed").exists()

    def test_errors_are_those_of_the_api_with_their_fields(self, admin: Client) -> None:
        given = category_form(key="No!", retention_days="0", cap_limit=["x"], cap_window=["1"],
                              cap_unit=["days"], cap_channel=["fax"])  # fmt: skip
        answer = admin.post(f"{CATEGORIES}/new", given)
        assert answer.status_code == 400
        text = answer.content.decode()
        for path in ("key", "retention_days", "caps[0].limit", "caps[0].channel"):
            assert f"<code>{path}</code>" in text
        assert 'value="No!"' in text
        taken = admin.post(f"{CATEGORIES}/new", category_form(key="payment"))
        assert (taken.status_code, "exists already" in taken.content.decode()) == (400, True)

    def test_what_another_person_changed_is_not_overwritten(self, as_role: As) -> None:
        admin, row = as_role("admin"), Category.objects.get(key="course")
        edit = f"{CATEGORIES}/{row.pk}/edit"
        fields = composer_fields(admin, edit)
        Category.objects.filter(pk=row.pk).update(name="Lessons", retention_days=7)
        answer = admin.post(edit, category_form(**fields, name="Courses"))
        assert answer.status_code == 409
        text = answer.content.decode()
        assert CHANGED in text
        assert "stored now: Lessons" in text
        assert 'value="Courses"' in text
        row.refresh_from_db()
        assert row.name == "Lessons"
        again = text.partition('name="seen" value="')[2].partition('"')[0]
        post(admin, edit, **category_form(seen=again, name="Courses"))
        row.refresh_from_db()
        assert row.name == "Courses"

    def test_more_rows_save_nothing_and_others_see_no_form(self, as_role: As) -> None:
        admin = as_role("admin")
        answer = admin.post(f"{CATEGORIES}/new", category_form(do="rows"))
        assert answer.content.decode().count('name="cap_limit"') == 3
        assert not Category.objects.filter(key="club").exists()
        operator, path = as_role("operator"), f"{CATEGORIES}/new"
        assert operator.post(path, category_form()).status_code == 403
        assert path not in text_of(operator, CATEGORIES)
        assert path in text_of(admin, CATEGORIES)


class TestSegments:
    def test_it_is_counted_saved_and_changed(self, operator: Client) -> None:
        for number in range(3):
            make_user(role="teacher", first_name=f"T{number}")
        new = f"{SEGMENTS}/new"
        counted = operator.post(new, segment_form(do="count")).content.decode()
        assert "3 people in the segment." in counted
        assert not Segment.objects.exists()
        assert "The segment was saved." in post(operator, new, **segment_form())
        row = Segment.objects.get()
        assert row.criteria == {"field": "role", "op": "eq", "value": "teacher"}
        edit = f"{SEGMENTS}/{row.pk}/edit"
        assert '<option value="role" selected>' in text_of(operator, edit)
        given = segment_form(**composer_fields(operator, edit), match="any",
                             where_field=["role", "locale"], where_key=["", ""],
                             where_value=["teacher", "de"])  # fmt: skip
        assert "The segment was changed." in post(operator, edit, **given)
        row.refresh_from_db()
        assert [each["field"] for each in row.criteria["any"]] == ["role", "locale"]
        text = text_of(operator, edit)
        assert '<option value="any" selected>' in text
        assert '<option value="locale" selected>' in text
        assert actions()[-2:] == ["segment.created", "segment.changed"]

    def test_what_rows_cannot_say_is_json(self, operator: Client) -> None:
        criteria = {"not": {"field": "role", "op": "eq", "value": "teacher"}}
        row = Segment.objects.create(name="Others", criteria=criteria)
        edit = f"{SEGMENTS}/{row.pk}/edit"
        assert '"not"' in text_of(operator, edit)
        written = '{"not": {"field": "role", "op": "eq", "value": "student"}}'
        given = segment_form(**composer_fields(operator, edit), criteria=written)
        both = operator.post(edit, given)
        assert "choose rows or write JSON, not both" in both.content.decode()
        post(operator, edit, **{**given, "where_field": ["", ""], "where_value": ["", ""]})
        row.refresh_from_db()
        assert row.criteria["not"]["value"] == "student"

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"where_field": [""], "where_value": [""]}, "at least one condition"),
            ({"where_field": ["role"], "where_value": ["king"]}, "<code>criteria.value</code>"),
            ({"name": ""}, "<code>name</code>"),
        ],
    )
    def test_errors_are_said(self, operator: Client, given: dict[str, Any], words: str) -> None:
        answer = operator.post(f"{SEGMENTS}/new", segment_form(**given))
        assert answer.status_code == 400
        assert words in answer.content.decode()
        assert not Segment.objects.exists()

    def test_what_another_person_changed_is_not_overwritten(self, operator: Client) -> None:
        post(operator, f"{SEGMENTS}/new", **segment_form())
        row = Segment.objects.get()
        edit = f"{SEGMENTS}/{row.pk}/edit"
        fields = composer_fields(operator, edit)
        Segment.objects.update(criteria={"field": "role", "op": "eq", "value": "parent"})
        answer = operator.post(edit, segment_form(**fields, name="Staff"))
        assert (answer.status_code, CHANGED in answer.content.decode()) == (409, True)
        assert "stored now: role" in answer.content.decode()
        row.refresh_from_db()
        assert row.name == "Teachers"

    def test_counts_are_limited_and_shown_in_their_part(self, operator: Client) -> None:
        new = f"{SEGMENTS}/new"
        for _time in range(A_MINUTE):
            assert operator.post(new, segment_form(do="count")).status_code == 200
        assert operator.post(new, segment_form(do="count")).status_code == 429
        part = operator.post(new, segment_form(do="count"), headers={"HX-Request": "true"})
        assert part.status_code == 200
        assert 'role="alert"' in part.content.decode().partition('id="count"')[2]


def test_the_forms_make_a_fixed_number_of_statements(as_role: As) -> None:
    admin = as_role("admin")
    caps = [{"limit": 1, "window_s": 60}]
    category = Category.objects.create(key="club", caps=caps)
    test = {"field": "role", "op": "eq", "value": "student"}
    segment = Segment.objects.create(name="Some", criteria={"all": [test, test]})
    paths = (f"{CATEGORIES}/{category.pk}/edit", f"{SEGMENTS}/{segment.pk}/edit")
    few = [len(statements(admin, path)) for path in paths]
    Category.objects.update(caps=caps * 9)
    Segment.objects.update(criteria={"all": [test] * 15})
    many = [len(statements(admin, path)) for path in paths]
    assert many == few
    assert max(many) <= 20
