"""The demo data: complete, rendered well on every channel, and loaded only once."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from directory.models import ContactPoint, Enrollment, ParentLink, TutorAssignment, User
from notifications.domain.callers import SYSTEM
from notifications.domain.channels import Channel
from notifications.features.operations.demo import DemoService
from notifications.features.templates.service import TemplateService
from notifications.infra import clock
from notifications.models import NotificationTemplate
from notifications.rendering.versions import version_of
from tests.integration.factories import delete_row

pytestmark = pytest.mark.django_db

EXAMPLES = {
    "amount": "29.99",
    "code": "123456",
    "course": "Art & <Design>",
    "starts_at": "2030-01-02T10:00:00+01:00",
    "due_at": "2030-01-02T10:00:00",
    "subject": "Physics",
    "grade": "A",
    "student": "Emma",
    "results": [{"subject": "Maths", "score": 0.91}],
    "title": "Holiday",
    "message": "No school on Friday.",
    "headline": "Spring",
    "ticket": "#12",
}


def test_all_people_are_created_and_the_administrator_may_log_in() -> None:
    report = DemoService().load()

    names = {user.username for user in User.objects.all()}
    assert names == {
        "admin",
        *(f"student{n}" for n in range(1, 201)),
        *(f"teacher{n}" for n in range(1, 11)),
        *(f"tutor{n}" for n in range(1, 6)),
        *(f"parent{n}" for n in range(1, 101)),
    }
    admin = User.objects.get(username="admin")
    assert report.admin_password is not None
    assert admin.check_password(report.admin_password)
    assert (admin.is_staff, admin.is_superuser, admin.role) == (True, True, "admin")
    assert not User.objects.get(username="student1").has_usable_password()
    assert ContactPoint.objects.count() == 315 * 3 + 1
    assert Enrollment.objects.values("student").distinct().count() == 200
    assert TutorAssignment.objects.count() == ParentLink.objects.count() == 200
    assert User.objects.values("timezone").distinct().count() > 15
    assert len({user.phone_number for user in User.objects.exclude(phone_number="")}) == 315


def test_a_second_run_changes_nothing_and_makes_few_queries() -> None:
    DemoService().load(admin_password="first")
    student = User.objects.get(username="student1")
    student.first_name = "Changed"
    student.save()

    with CaptureQueriesContext(connection) as queries:
        again = DemoService().load(admin_password="first")

    assert (again.admin_password, set(again.created.values())) == (None, {0})
    assert User.objects.get(username="student1").first_name == "Changed"
    assert len(queries) < 15


def test_a_given_password_is_never_reported_and_may_change() -> None:
    assert DemoService().load(admin_password="first").admin_password is None

    DemoService().load(admin_password="second")

    assert User.objects.get(username="admin").check_password("second")


def test_only_missing_users_are_created_again() -> None:
    DemoService().load()
    for user in User.objects.filter(username__in=["student7", "parent3"]):
        delete_row(user.pk)

    assert DemoService().load().created["users"] == 2


def test_progress_is_reported() -> None:
    steps: list[str] = []

    DemoService().load(progress=steps.append)

    assert steps == ["administrator", "people", "templates"]


def test_every_template_renders_on_every_channel_in_both_languages() -> None:
    DemoService().load()
    service = TemplateService()

    paths = set(NotificationTemplate.objects.values_list("path", flat=True))
    assert {"user.payment.success", "user.security.login", "user.course.*", "user.welcome"} < paths
    assert len(paths) >= 12
    assert service.find(path="user.payment.success")[0].required_variables == ["amount"]
    for response in service.templates(caller=SYSTEM):
        shown = service.preview(identifier=response.id, body={"context": EXAMPLES}, caller=SYSTEM)
        assert [item.error for item in shown.previews if item.error] == []
        assert {item.locale for item in shown.previews} == {"en", "ru"}
        assert all(item.body for item in shown.previews)
        assert all(item.sms.segments == 1 for item in shown.previews if item.sms)
        assert all("@@" not in item.html for item in shown.previews)
        wanted = {"email"} if response.path == "layouts.mail" else {"email", "push", "in_app"}
        assert not wanted - {item.channel for item in shown.previews}
        checked = service.validate(
            body={
                "push_template": response.push_template,
                "email_html_template": response.email_html_template,
                "required_variables": response.required_variables,
                "optional_variables": response.optional_variables,
            },
            caller=SYSTEM,
        )
        assert checked.extra_variables == []
        _check_greets_a_stranger(response.path)


def _check_greets_a_stranger(path: str) -> None:
    """Checks that a plain address is greeted on every channel, in both languages."""
    row, _ = TemplateService().find(path=path)
    compiled = version_of(row.current_version_id)
    own = {"user": {}, "current_time": clock.now(), "app_name": "A", "app_url": "https://a"}
    links = {"unsubscribe_url": "", "preferences_url": ""}
    for channel in (each for each in Channel if compiled.supports(each)):
        for locale in ("en", "ru"):
            shown = compiled.render(
                channel=channel, locale=locale, context={**EXAMPLES, **own, **links}
            )
            assert shown.body, (path, channel, locale)


def test_the_mails_use_a_layout_whose_stylesheet_is_inlined() -> None:
    DemoService().load()
    service = TemplateService()
    row, version = service.find(path="user.payment.success")

    shown = service.preview(
        identifier=row.pk, body={"context": EXAMPLES | {"user": {"locale": "ru"}}}, caller=SYSTEM
    )

    assert list(version.pins) == ["layouts.mail"]
    english, russian = (item.html for item in shown.previews if item.channel == "email")
    assert '<p class="line" style="margin: 0 0 16px;font-size: 16px;line-height: 1.6;">' in english
    assert "background: #047857" in english
    assert ".line{" not in english
    assert "@media (max-width:480px)" in english
    assert 'lang="ru"' in russian
    assert "Вы получили это письмо" in russian
    for response in service.templates(caller=SYSTEM):
        found = service.validate(identifier=response.id, body={}, caller=SYSTEM)
        assert (response.path, found.errors, found.warnings) == (response.path, [], [])
