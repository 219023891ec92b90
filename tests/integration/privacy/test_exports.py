"""Exports: who may have one, how it is written in parts, and when it goes."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from carillon.cli import carillon
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, NotFound, Refused
from notifications.features.access.throttles import Throttled
from notifications.features.privacy.export import building, paging
from notifications.features.privacy.export.building import build_due
from notifications.features.privacy.export.sections import NAMES
from notifications.features.privacy.export.service import ExportService
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import AuditQueued, DataExport, DataExportPart
from tests.integration.api.conftest import send_body
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
EXPORTER = Caller(name="key:9", is_service=True, scopes=frozenset({"privacy:export"}))
API = "/api/v1/privacy"


def finished(user, caller=SYSTEM, form="json", now=None):
    made = ExportService().request(identifier=user.pk, caller=caller)
    assert build_due(now=now or DataExport.objects.get(uuid=made.export_id).requested_at) == 1
    return made


def content(made, caller=SYSTEM, form="json"):
    parts = ExportService().download(identifier=str(made.export_id), form=form, caller=caller)
    return b"".join(parts).decode()


def own(user):
    return Caller(name=f"user:{user.pk}", user_id=user.pk)


def test_an_export_has_all_sections_with_the_persons_values(frozen):
    user = make_user(first_name="Zoë", attributes_private={"iban": "DE77"})
    NotificationService().send(body=send_body(user), caller=SYSTEM)
    found = json.loads(content(finished(user)))
    assert list(found)[-len(NAMES) :] == list(NAMES)
    assert found["profile"][0]["first_name"] == "Zoë"
    assert found["profile"][0]["attributes_private"] == {"iban": "DE77"}
    assert found["notifications"][0]["context"]["amount"]
    assert found["notifications"][0]["messages"][0]["status"] == "pending"
    assert {row.action for row in AuditQueued.objects.filter(subject_id=user.pk)} >= {
        "export.requested",
        "export.downloaded",
    }


def test_a_page_is_escaped_and_in_the_language_of_the_person(frozen):
    user = make_user(first_name="<script>alert(1)</script>", locale="ru_RU")
    text = content(finished(user), form="html")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert 'lang="ru"' in text
    assert "Ваш профиль" in text
    assert text.count("<section>") == len(NAMES)


def test_an_export_is_written_in_bounded_parts_and_resumes(frozen, monkeypatch):
    monkeypatch.setattr(paging, "AT_ONCE", 2)
    user = make_user()
    for _ in range(5):
        NotificationService().send(body=send_body(user), caller=SYSTEM)
    made = ExportService().request(identifier=user.pk, caller=SYSTEM)
    (key,) = DataExport.objects.values_list("pk", flat=True)
    states = []
    while len(states) < 100 and (not states or states[-1] == "requested"):
        states.append(building._write_part(key, now=frozen.now))  # as after a crash each time
    assert states[-1] == "ready"
    parts = DataExportPart.objects.filter(section="notifications")
    assert parts.count() == 3
    found = json.loads(content(made))
    assert len({each["uuid"] for each in found["notifications"]}) == 5
    assert user.email.encode() not in b"".join(bytes(p.content) for p in parts)


def test_a_key_needs_the_scope_and_a_person_gets_their_own_alone(frozen):
    user, other = make_user(), make_user()
    with pytest.raises(Refused) as caught:
        ExportService().request(identifier=user.pk, caller=own(other))
    assert caught.value.code == "missing_scope"
    mine = finished(user, own(user))
    for caller in (own(other), EXPORTER, SYSTEM):
        with pytest.raises(NotFound):
            ExportService().find(identifier=str(mine.export_id), caller=caller)
    theirs = finished(user, EXPORTER)
    assert ExportService().find(identifier=str(theirs.export_id), caller=SYSTEM).links
    with pytest.raises(NotFound):
        content(theirs, own(other))


def test_a_key_cannot_export_staff(frozen, staff):
    by_staff = finished(staff)
    later = finished(make_user())
    refused = (
        lambda: ExportService().request(identifier=staff.pk, caller=EXPORTER),
        lambda: ExportService().find(identifier=str(by_staff.export_id), caller=EXPORTER),
        lambda: content(by_staff, EXPORTER),
    )
    for call in refused:
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "staff_protected"
    assert ExportService().find(identifier=str(later.export_id), caller=EXPORTER)
    assert finished(staff, own(staff))


def test_the_export_of_another_has_no_code_and_no_signed_link(frozen):
    from notifications.infra.links import preferences_url
    from notifications.models import Category
    from tests.integration.factories import make_messages

    user = make_user()
    (plain,) = make_messages(1, user=user)
    (secret,) = make_messages(1, user=user, category="security")
    for message, text in ((plain, preferences_url(user.pk, user.email)), (secret, "code Quagmire")):
        url = json.dumps(text).replace("/", "\\/")
        message.content = {"body": text, "json": url, quote(text, safe=""): [quote(text, safe="")]}
        message.save()
    token = preferences_url(user.pk, user.email).rpartition("/")[2]
    assert Category.objects.filter(key="security").exists()

    by_key = content(finished(user, EXPORTER), EXPORTER)
    assert "Quagmire" not in by_key
    assert token not in by_key
    by_person = content(finished(user, own(user)), own(user))
    assert "code Quagmire" in by_person
    assert token not in by_person


def test_an_export_is_refused_before_it_is_ready_and_gone_after_a_day(frozen):
    user = make_user()
    made = ExportService().request(identifier=user.pk, caller=SYSTEM)
    again = ExportService().request(identifier=user.pk, caller=SYSTEM)
    assert again.export_id == made.export_id
    with pytest.raises(Conflict) as caught:
        content(made)
    assert caught.value.code == "export_not_ready"
    build_due(now=frozen.now)
    frozen.forward(24 * 3600 + 1)
    with pytest.raises(NotFound):
        content(made)
    from notifications.features.retention.service import RetentionService

    RetentionService().run_indexed(until=clock.monotonic() + 5, now=frozen.now)
    assert not DataExport.objects.exists()
    assert not DataExportPart.objects.exists()


def test_exports_of_a_person_are_bounded_a_day(frozen):
    user = make_user()
    first = finished(user, EXPORTER, now=frozen.now)
    frozen.forward(3_599)
    again = ExportService().request(identifier=user.pk, caller=EXPORTER)
    assert (again.export_id, again.state) == (first.export_id, "ready")
    for _ in range(2):
        frozen.forward(3_600)
        assert finished(user, EXPORTER).export_id != first.export_id
    frozen.forward(3_600)
    with pytest.raises(Throttled) as caught:
        ExportService().request(identifier=user.pk, caller=EXPORTER)
    assert caught.value.code == "too_many_exports"
    wait = caught.value.data["retry_after"]
    assert wait == 24 * 3_600 - 3 * 3_600 - 3_599
    assert finished(user, own(user)), "the person's own are counted apart"
    frozen.forward(wait)
    assert finished(user, EXPORTER)


def test_an_erasure_deletes_exports_and_stops_those_that_are_written(frozen):
    user, other = make_user(), make_user()
    made = finished(user)
    finished(other)
    ExportService().request(identifier=user.pk, caller=own(user))
    PrivacyService().erase_user(identifier=user.pk, reason="r", caller=SYSTEM)
    with pytest.raises(Conflict):
        ExportService().request(identifier=user.pk, caller=SYSTEM)
    assert erase_due(now=frozen.now) == 1
    assert build_due(now=frozen.now + timedelta(seconds=1)) == 0
    assert {row.user_id for row in DataExport.objects.all()} == {other.pk}
    with pytest.raises(NotFound):
        content(made)


def test_the_routes(as_user, as_staff, user):
    made = as_user.post(f"{API}/users/{user.pk}/export")
    assert made.status_code == 202, made.content
    url = f"{API}/exports/{made.json()['export_id']}"
    assert as_user.get(url).json()["links"] is None
    assert as_user.get(f"{url}/json").status_code == 409
    build_due(now=clock.now())
    links = as_user.get(url).json()["links"]
    done = as_user.get(links["html"])
    text = b"".join(done.streaming_content).decode()
    assert done["Content-Disposition"] == 'attachment; filename="personal-data.html"'
    assert user.username in text
    assert as_staff.get(url).status_code == 404, "it is the person's own"


def test_the_command_writes_a_new_file_that_only_its_owner_reads(tmp_path):
    user, file, other = make_user(), tmp_path / "ada.json", tmp_path / "other"

    def run(identifier, out):
        words = ["export", "user", str(identifier), "--out", str(out)]
        return CliRunner().invoke(carillon, words)

    assert run(10**9, file).exit_code
    assert not file.exists(), "a failed export leaves no file"
    assert run(user.pk, file).exit_code == 0
    assert json.loads(file.read_text())["profile"][0]["username"] == user.username
    assert file.stat().st_mode & 0o777 == 0o600
    other.symlink_to(tmp_path / "elsewhere")
    for taken in (file, other):
        result = run(user.pk, taken)
        assert result.exit_code == 1
        assert f"{taken} was not written: File exists" in result.output
    assert not (tmp_path / "elsewhere").exists()
    assert AuditQueued.objects.filter(action="export.printed").count() == 1
