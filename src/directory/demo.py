"""Demo people: students, teachers, tutors and parents of a school, and their relations.

All people are fictional. Addresses end in example.com (RFC 2606). Phone numbers are from the ranges
reserved for fiction in the United States (555-01xx), Germany and Sweden.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.contrib.auth.hashers import make_password

from directory.models import (
    ContactPoint,
    Device,
    Enrollment,
    Group,
    GroupMembership,
    ParentLink,
    Subject,
    TutorAssignment,
    User,
)
from directory.models.contact import ContactKind
from directory.models.user import Role

_COUNTS = {Role.STUDENT: 200, Role.TEACHER: 10, Role.TUTOR: 5, Role.PARENT: 100}
_PLACES = (
    ("en", "Europe/London"),
    ("ru", "Europe/Moscow"),
    ("en_US", "America/New_York"),
    ("ru_RU", "Asia/Yekaterinburg"),
    ("de_DE", "Europe/Berlin"),
    ("fr_FR", "Europe/Paris"),
    ("es_ES", "Europe/Madrid"),
    ("en_US", "America/Los_Angeles"),
    ("pt_BR", "America/Sao_Paulo"),
    ("ru", "Asia/Vladivostok"),
    ("ja_JP", "Asia/Tokyo"),
    ("hi_IN", "Asia/Kolkata"),
    ("ar_EG", "Africa/Cairo"),
    ("en_AU", "Australia/Lord_Howe"),
    ("uk_UA", "Europe/Kyiv"),
    ("kk_KZ", "Asia/Almaty"),
    ("zh_CN", "Asia/Shanghai"),
    ("sv_SE", "Europe/Stockholm"),
    ("en_CA", "America/St_Johns"),
    ("ne_NP", "Asia/Kathmandu"),
    ("en_KI", "Pacific/Kiritimati"),
)
_NAMES = {
    "en": ("Emma Liam Olivia Noah Ava Jack Mia Leo Isla Finn", "Hill Reed Stone Brook Wells Ford"),
    "ru": ("Анна Иван Мария Пётр Ольга Юрий Дарья Егор", "Лебедь Берёза Соловей Мороз Ручей"),  # noqa: RUF001
    "de": ("Lena Jonas Käthe Jürgen Anja Timo", "Weiß Grün Schröder Vogel Über"),
    "fr": ("Chloé Hugo Zoé Théo Inès Noël", "Dubois Lefèvre Garçon Hérisson"),
    "es": ("Lucía Mateo Sofía Íñigo Begoña", "Peña Núñez Río Montaña"),
    "pt": ("João Inês Thaís Caio", "Conceição Araújo Brandão"),
    "ja": ("陽菜 蓮 結衣 湊", "佐藤 鈴木 高橋"),
    "hi": ("आरव दीया अनन्या विवान", "शर्मा वर्मा गुप्ता"),
    "ar": ("ليلى عمر نور يوسف", "حسن سالم كريم"),
    "uk": ("Оксана Тарас Їжа Юлія", "Гай Калина Сокіл"),  # noqa: RUF001
    "kk": ("Айгерім Нұрлан Әсел", "Тұран Көктем"),
    "zh": ("小明 小红 建国", "王 李 张"),
    "sv": ("Åsa Björn Östen Maja", "Ek Ström Åberg"),
    "ne": ("सीता राम गीता", "थापा गुरुङ"),
}
_AREA_CODES = (202, 212, 303, 312, 404, 415, 503, 617, 713, 808)
_SUBJECTS = (
    *("Mathematics", "Physics", "Chemistry", "Biology", "Literature", "History", "Geography"),
    *("Computer science", "English", "Русский язык", "Music", "Drawing"),
)
_GROUPS = (
    *((f"Class {year}{section}", "class") for year in range(7, 12) for section in "AB"),
    ("Chess club", "topic"),
    ("Olympiad", "topic"),
    ("School choir", "topic"),
)
_TIERS = ("free", "free", "plus", "premium")


class _DemoPeople(NamedTuple):
    """The demo people by role, in the order of their numbers."""

    students: list[User]
    teachers: list[User]
    tutors: list[User]
    parents: list[User]
    #: The ids of the people who were created in this run.
    created: set[int]


def load_people(*, now: datetime) -> dict[str, int]:
    """Creates the missing demo data; returns how many rows of each kind were created.

    Only new people are added to subjects, groups and families. Later changes to existing people
    stay.
    """
    names = _names()
    wanted = [name for some in names.values() for name in some]
    there = {user.username for user in User.objects.filter(username__in=wanted)}
    if there.issuperset(wanted):
        return {"users": 0}
    made = _make_users(names, there, now)
    people = {user.username: user for user in User.objects.filter(username__in=wanted)}
    by_role = {role: [people[name] for name in some] for role, some in names.items()}
    school = _DemoPeople(
        by_role[Role.STUDENT],
        by_role[Role.TEACHER],
        by_role[Role.TUTOR],
        by_role[Role.PARENT],
        {user.pk for user in made},
    )
    return {
        "users": len(made),
        "contact_points": _make_contact_points(made),
        "devices": _make_devices(made),
        **_make_school(school),
    }


def demo_people() -> list[int]:
    """Returns the ids of the demo people who exist."""
    wanted = [name for some in _names().values() for name in some]
    return list(User.objects.filter(username__in=wanted).values_list("pk", flat=True))


def _names() -> dict[Role, list[str]]:
    return {role: [f"{role}{n}" for n in range(1, count + 1)] for role, count in _COUNTS.items()}


def _make_users(names: dict[Role, list[str]], there: set[str], now: datetime) -> list[User]:
    numbered = [(role, n, name) for role, some in names.items() for n, name in enumerate(some)]
    users = [
        _user(role, number, name, serial, now)
        for serial, (role, number, name) in enumerate(numbered)
        if name not in there
    ]
    return User.objects.bulk_create(users, batch_size=500)


def _user(role: Role, number: int, name: str, serial: int, now: datetime) -> User:
    locale, zone = _PLACES[number % len(_PLACES)]
    firsts, lasts = (part.split() for part in _NAMES.get(locale[:2], _NAMES["en"]))
    return User(
        username=name,
        email=f"{name}@example.com",
        password=make_password(None),
        first_name=firsts[number % len(firsts)],
        last_name=lasts[(number // 3) % len(lasts)],
        role=role,
        locale=locale,
        timezone=zone,
        phone_number=_phone(serial),
        telegram_id=str(7_000_000_001 + serial),
        subscription_tier=_TIERS[number % len(_TIERS)],
        attributes={"grade": 7 + number % 5} if role == Role.STUDENT else {},
        date_joined=now - timedelta(days=3 * number + 1, minutes=7 * number),
    )


def _phone(serial: int) -> str:
    if serial < 90:
        return f"+4670174{605 + serial:04d}"
    if serial < 190:
        return f"+49171392{serial - 90:04d}"
    left = serial - 190
    return f"+1{_AREA_CODES[left // 100]}55501{left % 100:02d}"


def _make_contact_points(users: Sequence[User]) -> int:
    points = [
        ContactPoint(user=user, kind=kind, address=address)
        for user in users
        for kind, address in (
            (ContactKind.EMAIL, user.email),
            (ContactKind.PHONE, user.phone_number),
            (ContactKind.TELEGRAM, user.telegram_id),
        )
    ]
    return len(ContactPoint.objects.bulk_create(points, batch_size=500, ignore_conflicts=True))


def _make_devices(users: Sequence[User]) -> int:
    devices = [
        Device(user=user, platform=("android", "ios")[user.pk % 2], token=f"demo-{user.username}")
        for user in users
    ]
    return len(Device.objects.bulk_create(devices, batch_size=500, ignore_conflicts=True))


def _make_school(people: _DemoPeople) -> dict[str, int]:
    subjects = [Subject.objects.get_or_create(name=name)[0] for name in _SUBJECTS]
    groups = [
        Group.objects.get_or_create(name=name, defaults={"kind": kind})[0] for name, kind in _GROUPS
    ]
    enrollments, tutored, families, members = [], [], [], []
    for number, student in enumerate(people.students):
        if student.pk not in people.created:
            continue
        for step in range(3):
            index = (number + step * 5) % len(subjects)
            teacher = people.teachers[index % len(people.teachers)]
            enrollments.append(
                Enrollment(student=student, subject=subjects[index], teacher=teacher)
            )
        tutor = people.tutors[number % len(people.tutors)]
        tutored.append(TutorAssignment(student=student, tutor=tutor))
        parent = people.parents[number // 2 % len(people.parents)]
        families.append(ParentLink(parent=parent, student=student))
        members.append(GroupMembership(group=groups[number % 10], user=student))
        if number % 4 == 0:
            members.append(GroupMembership(group=groups[10 + number % 3], user=student))
    return {
        "enrollments": len(Enrollment.objects.bulk_create(enrollments, ignore_conflicts=True)),
        "tutor_assignments": len(
            TutorAssignment.objects.bulk_create(tutored, ignore_conflicts=True)
        ),
        "parent_links": len(ParentLink.objects.bulk_create(families, ignore_conflicts=True)),
        "group_memberships": len(
            GroupMembership.objects.bulk_create(members, ignore_conflicts=True)
        ),
    }
