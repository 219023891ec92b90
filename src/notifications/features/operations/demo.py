"""DemoService: users, templates and an administrator for trying the service."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec
from django.db import transaction

from directory.demo import demo_people, load_people
from directory.models import User
from notifications.demo.texts import DemoTemplate, demo_templates
from notifications.features.preferences.consents import set_consent_of
from notifications.infra import clock
from notifications.models import (
    Category,
    NotificationTemplate,
    TemplateStatus,
    UserNotificationPreference,
)

ADMIN = "admin"
ADMIN_EMAIL = "admin@example.com"
Progress = Callable[[str], None]


class DemoReport(msgspec.Struct, kw_only=True):
    """What was made. admin_password is set only when it was generated now: it is shown once."""

    admin_password: str | None
    created: dict[str, int]


class DemoService:
    """Loads the demo data. Existing rows stay as they are."""

    def load(
        self, *, admin_password: str | None = None, progress: Progress | None = None
    ) -> DemoReport:
        """Creates what is missing. A given admin_password becomes the administrator's password.

        Calls progress with a line of text before each step.
        """
        report = progress or _report_nothing
        report("administrator")
        generated, created = _load_admin(admin_password or "")
        report("people")
        with transaction.atomic():
            people = load_people(now=clock.now())
            people["consents"] = _give_consent()
        report("templates")
        with transaction.atomic():
            templates = _load_templates()
        return DemoReport(
            admin_password=generated, created={"admin": created, **people, "templates": templates}
        )


def _report_nothing(_line: str) -> None:
    return


def _load_admin(password: str) -> tuple[str | None, int]:
    admin = User.objects.filter(username=ADMIN).first()
    if admin is not None:
        if password and not admin.check_password(password):
            admin.set_password(password)
            admin.save(update_fields=["password"])
        return None, 0
    generated = None if password else secrets.token_urlsafe(12)
    User.objects.create_superuser(
        ADMIN,
        ADMIN_EMAIL,
        password or generated,
        first_name="Ada",
        last_name="Admin",
        role="admin",
    )
    return generated, 1


def _give_consent() -> int:
    """Records consent to data processing for the demo users without preferences."""
    people = {*demo_people(), User.objects.get(username=ADMIN).pk}
    rows = UserNotificationPreference.objects.filter(user_id__in=people)
    silent = people - set(rows.values_list("user_id", flat=True))
    wording = "Demo data: this person is made up."
    return set_consent_of(silent, granted=True, source="demo", wording=wording)


def _load_templates() -> int:
    there = set(NotificationTemplate.objects.values_list("path", flat=True))
    names = set(NotificationTemplate.objects.values_list("name", flat=True))
    categories = {row.key: row for row in Category.objects.all()}
    missing = [each for each in demo_templates() if each.path not in there]
    for each in missing:
        name = each.name if each.name not in names else f"{each.name} ({each.path})"
        _template(each, name, categories).save()
    return len(missing)


def _template(
    each: DemoTemplate, name: str, categories: dict[str, Category]
) -> NotificationTemplate:
    return NotificationTemplate(
        name=name,
        path=each.path,
        category=categories[each.category],
        default_priority=each.priority,
        supported_channels=each.channels,
        required_variables=each.required,
        optional_variables=each.optional,
        example_context=each.example,
        default_locale="en",
        translations={"ru": each.texts["ru"]},
        status=TemplateStatus.PUBLISHED,
        **each.texts["en"],
    )
