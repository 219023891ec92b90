"""The examples of docs/broadcasts-api.md, run as they are written, and the documented requests."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import Enrollment, Subject, TutorAssignment, User
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import Broadcast
from tests.integration.api.conformity import DocumentedClient
from tests.integration.broadcasts.factories import make_people
from tests.integration.broadcasts.test_broadcast_enhancements import broadcast_with
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
PAGE = Path(__file__).parents[3] / "docs" / "broadcasts-api.md"
URL = "/api/admin/broadcasts"


def calls_of(page: Path, *, url: str = URL) -> list[tuple[str, str, Any]]:
    """Returns (method, path, body) of each curl in a page's examples. url: the value of `$URL`."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    found = []
    for block in blocks:
        for line in re.findall(r"^curl .*?(?=^curl |\Z)", block, re.M | re.S):
            words = shlex.split(line.replace("$URL", url))
            body = json.loads(words[words.index("--json") + 1]) if "--json" in words else None
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            path = next(word for word in words if word.startswith("/api/"))
            found.append((method, path, body))
    return found


def admin() -> tuple[User, APIClient]:
    user = make_user(is_staff=True, role="admin")
    client = DocumentedClient()
    token = issue_access(user, now=clock.now())
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_ACCEPT_LANGUAGE="ru")
    return user, client


def test_every_example_of_the_page_works(settings):
    make_people(3)
    author, client = admin()
    made: list[Broadcast] = []
    for method, path, body in calls_of(PAGE):
        if path.endswith(("/approve/", "/reject/")):
            other = broadcast_with(status="awaiting_approval")
            Broadcast.objects.filter(pk=other.pk).update(created_by=make_user())
            path = re.sub(r"/2/", f"/{other.pk}/", path)
            make_people(1)
        elif made:
            path = re.sub(r"/1/", f"/{made[0].pk}/", path)
        path = path.replace("created_by=1", f"created_by={author.pk}")
        response = client.generic(
            method, path, json.dumps(body or {}), content_type="application/json"
        )
        assert response.status_code in (200, 201), f"{method} {path}: {response.data}"
        made = made or list(Broadcast.objects.all())
    assert len(calls_of(PAGE)) == 20
    assert made[0].created_by == author


@pytest.mark.parametrize(
    ("group", "field"),
    [
        ("all_students", None),
        ("all_teachers", None),
        ("all_tutors", None),
        ("all_parents", None),
        ("by_subject", "subject_id"),
        ("by_tutor", "tutor_id"),
        ("by_teacher", "teacher_id"),
        ("custom", "user_ids"),
    ],
)
def test_every_documented_target_is_accepted(group, field):
    students = make_people(2)
    people = {
        role: make_people(1, role=role, prefix=role)[0] for role in ("teacher", "tutor", "parent")
    }
    subject = Subject.objects.create(name="Mathematics")
    for student in students:
        Enrollment.objects.create(student_id=student, subject=subject, teacher_id=people["teacher"])
        TutorAssignment.objects.create(student_id=student, tutor_id=people["tutor"])
    values = {
        "subject_id": subject.pk,
        "tutor_id": people["tutor"],
        "teacher_id": people["teacher"],
        "user_ids": students,
    }
    body: dict[str, Any] = {"target_group": group, "message": "Important notification"}
    if field:
        body["target_filter"] = {field: values[field]}
    _, client = admin()
    response = client.post(f"{URL}/", body)
    assert response.status_code == 201
    assert response.data["message"] == "Рассылка успешно создана"
    counts = {"by_subject": 3, "all_teachers": 1, "all_tutors": 1, "all_parents": 1}
    assert response.data["data"]["recipient_count"] == counts.get(group, 2)


def test_the_documented_requests_get_the_documented_responses():
    """Checks method, path and members of every documented request."""
    _, client = admin()
    made = broadcast_with(sent=45, failed=5, pending=50)
    listed = client.get(
        f"{URL}/?status=sending&date_from=2024-01-01&date_to=2100-01-01&search=snow&page=1&page_size=20"
    ).data
    assert listed["count"] == 1
    assert list(listed) == [
        "count",
        "next",
        "previous",
        "results",
        "page",
        "page_size",
        "total_pages",
    ]
    data = client.get(f"{URL}/{made.pk}/").data["data"]
    assert (data["status_display"], data["sent_count"]) == ("Отправляется", 45)
    assert len(data["recipients"]) == 20
    progress = client.get(f"{URL}/{made.pk}/progress/").data["data"]
    assert (progress["progress_pct"], progress["pending_count"]) == (50, 50)
    page = client.get(f"{URL}/{made.pk}/recipients/?status=sent&page=2&page_size=20").data
    assert (page["count"], page["next"], page["previous"], page["total_pages"]) == (45, 3, 1, 3)
    retried = client.post(f"{URL}/{made.pk}/retry/").data["data"]
    assert retried["message"] == "Повторная отправка запущена для 5 получателей"
    cancelled = client.post(f"{URL}/{made.pk}/cancel/").data["data"]
    assert cancelled["message"] == "Рассылка успешно отменена"
    assert (cancelled["broadcast_id"], cancelled["success"]) == (made.pk, True)
