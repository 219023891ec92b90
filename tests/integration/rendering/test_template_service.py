"""TemplateService: find, write, publish, roll back and preview templates."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, InvalidRequest, NotFound, Refused
from notifications.features.templates.service import TemplateService
from notifications.models import Notification, NotificationTemplate, OperatorAction
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.django_db

AUTHOR = Caller(name="user:1", user_id=1, scopes=frozenset({"templates:write"}))
service = TemplateService()


def write(**body: Any) -> Any:
    values = {"name": "Hello", "path": "test.hello", "push_template": "Hi {{ user.first_name }}"}
    return service.create(body={**values, **body}, caller=AUTHOR)


class TestFinding:
    def test_the_exact_path_comes_first_and_then_the_nearest_wildcard(self) -> None:
        for path in ("user.course.*", "user.*.*", "user.course.done"):
            make_template(path)

        found = [
            service.find(path=path)[0].path
            for path in ("user.course.done", "user.course.new", "user.other.thing")
        ]

        assert found == ["user.course.done", "user.course.*", "user.*.*"]

    def test_the_next_template_replaces_one_that_is_switched_off(self) -> None:
        make_template("user.course.done", is_active=False)
        general = make_template("user.course.*")

        template, version = service.find(path="user.course.done")

        assert template == general
        assert version.pk == general.current_version_id

    @pytest.mark.parametrize(
        ("values", "why"),
        [
            ({"is_active": False}, "template 'a.b' is switched off"),
            ({"status": "draft"}, "template 'a.b' was never published: publish it by POST"),
        ],
    )
    def test_a_template_that_cannot_be_sent_is_reported(
        self, values: dict[str, Any], why: str
    ) -> None:
        make_template("a.b", **values)

        with pytest.raises(NotFound) as caught:
            service.find(path="a.b")

        assert caught.value.code == "unknown_template"
        assert caught.value.detail.startswith(why)

    def test_an_unknown_path_is_reported(self) -> None:
        with pytest.raises(NotFound) as caught:
            service.find(path="no.such")

        assert caught.value.detail.startswith("there is no template 'no.such': GET")


class TestWriting:
    def test_a_new_template_is_a_draft_until_it_is_published(self) -> None:
        made = write()
        assert (made.status, made.version, made.channels) == ("draft", None, ["push"])

        published = service.publish(identifier=made.id, caller=AUTHOR)

        assert (published.status, published.version) == ("published", 1)
        assert service.find(path="test.hello")[1].number == 1
        assert list(OperatorAction.objects.values_list("action", flat=True)) == [
            "template.create",
            "template.publish",
        ]

    def test_it_can_be_published_at_once(self) -> None:
        assert write(status="published").version == 1

    def test_all_errors_are_reported_together_with_their_lines(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            write(
                path="a..b",
                category="nonsense",
                supported_channels=["pigeon"],
                default_priority="soon",
                required_variables=["1x"],
                push_template="one\n{{ two",
                translations={
                    "de": "words",
                    "ru": {"sms_template": "{% if %}", "other": "x"},
                    "??": {},
                },
                typo=1,
                status="done",
            )

        found = {(error.path, error.code) for error in caught.value.errors}
        assert found == {
            ("path", "invalid_path"),
            ("category", "unknown_category"),
            ("supported_channels", "invalid_channel"),
            ("default_priority", "invalid_priority"),
            ("required_variables", "invalid"),
            ("push_template", "template_syntax"),
            ("translations.de", "wrong_type"),
            ("translations.ru.sms_template", "template_syntax"),
            ("translations.ru.other", "unknown_field"),
            ("translations.??", "invalid_locale"),
            ("typo", "unknown_field"),
            ("status", "invalid"),
        }
        detail = next(e.detail for e in caught.value.errors if e.path == "push_template")
        assert "line 2" in detail
        assert not NotificationTemplate.objects.exists()

    def test_a_used_path_or_name_is_a_conflict(self) -> None:
        write()

        for change, code in (({"name": "Other"}, "path_taken"), ({"path": "x.y"}, "name_taken")):
            with pytest.raises(Conflict) as caught:
                write(**change)
            assert caught.value.code == code

    def test_undeclared_and_unused_variables_cause_warnings(self) -> None:
        made = write(push_template="{{ amount }}", required_variables=["code"])

        assert len(made.warnings) == 2
        assert "code" in made.warnings[0]
        assert "amount" in made.warnings[1]

    def test_a_change_is_a_draft_and_the_current_version_is_still_sent(self) -> None:
        made = write(status="published")

        changed = service.update(identifier=made.id, body={"push_template": "New"}, caller=AUTHOR)

        assert (changed.status, changed.version, changed.push_template) == ("draft", 1, "New")
        assert service.find(path="test.hello")[1].content["en"]["push_template"] != "New"

    def test_a_path_is_fixed(self) -> None:
        made = write()

        with pytest.raises(InvalidRequest) as caught:
            service.update(identifier=made.id, body={"path": "other.path"}, caller=AUTHOR)

        assert caught.value.code == "path_immutable"

    def test_switching_off_makes_no_new_version(self) -> None:
        made = write(status="published")

        changed = service.update(identifier=made.id, body={"is_active": False}, caller=AUTHOR)

        assert (changed.status, changed.version, changed.is_active) == ("published", 1, False)

    def test_writing_needs_the_scope(self) -> None:
        with pytest.raises(Refused) as caught:
            service.create(body={}, caller=Caller(name="user:2", user_id=2))

        assert (caught.value.code, caught.value.data) == (
            "missing_scope",
            {"scope": "templates:write"},
        )


class TestPublishing:
    def test_a_channel_without_a_text_prevents_publication(self) -> None:
        made = write(supported_channels=["push", "sms"])

        with pytest.raises(InvalidRequest) as caught:
            service.publish(identifier=made.id, caller=AUTHOR)

        assert caught.value.code == "channel_without_text"
        assert "sms" in caught.value.detail

    def test_a_template_without_any_text_cannot_be_published(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            write(push_template="", status="published")

        assert caught.value.code == "required"

    def test_an_old_version_can_be_published_again(self) -> None:
        made = write(status="published", translations={"ru": {"push_template": "Привет"}})
        service.update(
            identifier=made.id,
            body={"push_template": "New", "translations": {}, "status": "published"},
            caller=AUTHOR,
        )

        back = service.publish(identifier=made.id, caller=AUTHOR, version=1)

        assert back.version == 3
        assert back.push_template == "Hi {{ user.first_name }}"
        assert back.translations == {"ru": {"push_template": "Привет"}}
        versions = service.versions(identifier=made.id, caller=AUTHOR)
        assert [(each.number, each.is_current) for each in versions] == [
            (3, True),
            (2, False),
            (1, False),
        ]
        assert versions[0].content == versions[2].content

    def test_publishing_twice_makes_one_version(self) -> None:
        made = write(status="published")

        assert service.publish(identifier=made.id, caller=AUTHOR).version == 1

    def test_an_unknown_version_is_reported(self) -> None:
        made = write()

        with pytest.raises(NotFound) as caught:
            service.publish(identifier=made.id, caller=AUTHOR, version=9)

        assert caught.value.code == "unknown_version"


class TestReading:
    def test_lists_by_category_channel_and_beginning_of_the_path(self) -> None:
        for path in ("user.a", "user.b", "other.c"):
            write(name=path, path=path, category="course")
        write(name="sms", path="user.sms", push_template="", sms_template="x")

        def paths(**filters: Any) -> list[str]:
            return [each.path for each in service.templates(caller=AUTHOR, **filters)]

        assert paths() == ["user.a", "user.b", "other.c", "user.sms"]
        assert paths(category="course", path="user.") == ["user.a", "user.b"]
        assert paths(channel="sms") == ["user.sms"]
        first = service.templates(caller=AUTHOR, limit=2)
        assert paths(after=first[-1].id) == ["other.c", "user.sms"]

    def test_a_preview_shows_every_channel_and_locale_and_what_is_missing(self) -> None:
        made = write(
            sms_template="{{ amount|currency }} €",
            translations={"ru": {"push_template": "Привет, {{ user.first_name }}"}},
            required_variables=["amount"],
        )

        shown = service.preview(identifier=made.id, body={"context": {}}, caller=AUTHOR)
        assert shown.missing_variables == ["amount"]
        assert {i.error_code for i in shown.previews if i.channel == "sms"} == {"missing_variable"}

        shown = service.preview(
            identifier=made.id, body={"context": {"amount": "5"}}, caller=AUTHOR
        )
        by_place = {(item.channel, item.locale): item for item in shown.previews}
        assert by_place["push", "ru"].body == "Привет, Alex"
        sms = by_place["sms", "en"]
        assert sms.body == "$5.00 €"
        assert sms.sms is not None
        assert (sms.sms.encoding, sms.sms.units, sms.sms.segments) == ("GSM-7", 8, 1)

    def test_validation_writes_nothing(self) -> None:
        good = service.validate(body={"push_template": "{{ a }}"}, caller=SYSTEM)
        bad = service.validate(body={"push_template": "{{ a"}, caller=SYSTEM)
        empty = service.validate(body={"required_variables": ["a"]}, caller=SYSTEM)

        assert (good.valid, good.extra_variables) == (True, ["a"])
        assert (bad.valid, bad.errors[0].path, bad.errors[0].code) == (
            False,
            "push_template",
            "template_syntax",
        )
        assert (empty.valid, empty.missing_variables) == (False, ["a"])
        assert not NotificationTemplate.objects.exists()

    def test_reading_needs_a_scope(self) -> None:
        with pytest.raises(Refused):
            service.templates(caller=Caller(name="user:2", user_id=2))

        with pytest.raises(Refused):
            service.templates(caller=Caller(name="key:1", is_service=True))
        reader = Caller(name="key:1", is_service=True, scopes=frozenset({"templates:read"}))
        assert service.templates(caller=reader) == []

    @pytest.mark.parametrize("identifier", [99, "x", None])
    def test_an_unknown_template_is_reported(self, identifier: object) -> None:
        with pytest.raises(NotFound) as caught:
            service.get(identifier=identifier, caller=AUTHOR)

        assert caught.value.code == "unknown_template"


class TestDeleting:
    def test_an_unused_template_is_deleted(self) -> None:
        made = write(status="published")

        assert service.delete(identifier=made.id, caller=AUTHOR) is True
        assert not NotificationTemplate.objects.exists()

    def test_a_used_template_is_switched_off_and_its_versions_remain(self) -> None:
        template = make_template()
        Notification(
            user=make_user(),
            category=template.category,
            template_version_id=template.current_version_id,
            text={"title": "x", "message": "y"},
        ).save()

        assert service.delete(identifier=template.pk, caller=AUTHOR) is False

        template.refresh_from_db()
        assert template.is_active is False
        assert template.current_version is not None
