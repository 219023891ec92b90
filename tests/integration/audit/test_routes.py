"""The audit log by HTTP and by command: filters, pages, proofs, exports."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from rest_framework.test import APIClient

from carillon.cli import carillon
from notifications.domain.callers import SYSTEM
from notifications.domain.merkle import check_consistency, root_of_inclusion
from notifications.features.audit.proofs import public_key_line
from notifications.features.audit.sealer import seal_due
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.infra.audit_keys import open_checkpoint
from notifications.models import AuditCheckpoint, AuditLeaf
from notifications.models.audit.entries import NewEntry, write_entry, write_slice
from tests.conftest import FrozenClock
from tests.integration.api.conftest import *  # noqa: F403 -- its clients are fixtures here
from tests.integration.audit.world import write
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/v1/audit"


@pytest.fixture
def log(frozen: FrozenClock) -> FrozenClock:
    """Sixty entries, an hour later one by a key, then a slice."""
    write(60, at=frozen.now)
    frozen.forward(3600)
    entry = NewEntry(actor="key:3", action="category.changed", target="category:x", subject_id=7)
    write_entry(entry, at=frozen.now)
    write_slice([(1, '[1, "sent", "x"]'), (2, '[1, "sent", "x"]')], at=frozen.now)
    seal_due(now=frozen.now)
    return frozen


def ids(response: Any) -> list[int]:
    return [row["id"] for row in response.json()["results"]]


def test_the_list_is_paged_from_the_newest(log: FrozenClock, as_staff: APIClient) -> None:
    page = as_staff.get(f"{URL}?limit=50")
    assert ids(page) == list(range(60, 10, -1))
    following = as_staff.get(page.json()["next"])
    assert ids(following) == list(range(10, -1, -1))
    assert following.json()["next"] is None
    assert ids(as_staff.get(following.json()["previous"])) == ids(page)


def test_the_filters(log: FrozenClock, as_staff: APIClient) -> None:
    hour = log.now - timedelta(minutes=1)
    for query, found in {
        "actor=key:3": [60],
        "action=category.changed": [60],
        "target=thing:5": [5],
        "user_id=7": [60],
        "user_id=8": [],
        "action=slice": [61],
        f"from={hour.isoformat().replace('+00:00', 'Z')}": [60],
        f"to={hour.isoformat().replace('+00:00', 'Z')}&target=thing:7": [7],
        "actor=user:1&target=category:x": [],
    }.items():
        assert ids(as_staff.get(f"{URL}?{query}")) == found, query
    assert as_staff.get(f"{URL}?from=yesterday").json()["errors"][0]["code"] == "invalid_time"


def test_an_entry_shows_who_changed_what(log: FrozenClock, as_staff: APIClient) -> None:
    (row,) = as_staff.get(f"{URL}?target=thing:5").json()["results"]
    assert (row["actor"], row["before"], row["after"]) == ("user:1", {"number": 5}, {"number": 6})
    assert row["is_stored"]
    (row,) = as_staff.get(f"{URL}?action=slice").json()["results"]
    assert (row["target"], row["before"], row["is_stored"]) == ("messages:1-2", None, True)


def test_the_proof_of_an_entry_leads_to_the_checkpoint(
    log: FrozenClock, as_staff: APIClient
) -> None:
    for number in (0, 33, 61):
        found = as_staff.get(f"{URL}/{number}/proof").json()
        proof = [bytes.fromhex(each) for each in found["proof"]["hashes"]]
        leaf = bytes.fromhex(found["leaf"]["leaf_hash"])
        root = root_of_inclusion(leaf, number, found["proof"]["size"], proof)
        assert root == open_checkpoint(found["checkpoint"]).root
    for wrong in ("62", "x", "9" * 30):
        assert as_staff.get(f"{URL}/{wrong}/proof").status_code == 404


def test_an_entry_that_no_checkpoint_covers_is_not_sealed_yet(
    log: FrozenClock, as_staff: APIClient
) -> None:
    AuditCheckpoint.objects.all().delete()
    for path in ("0/proof", "checkpoint"):
        assert as_staff.get(f"{URL}/{path}").json()["code"] == "not_sealed_yet"


def test_a_damaged_store_proves_nothing(log: FrozenClock, as_staff: APIClient) -> None:
    AuditLeaf.objects.filter(pk=60).delete()
    assert as_staff.get(f"{URL}/61/proof").json()["code"] == "audit_damaged"
    assert as_staff.get(f"{URL}/consistency?from=61").json()["code"] == "audit_damaged"


def test_consistency_of_any_two_sizes(log: FrozenClock, as_staff: APIClient) -> None:
    for old, new in ((1, 62), (31, 62), (61, 62), (62, 62), (7, 12)):
        found = as_staff.get(f"{URL}/consistency?from={old}&to={new}").json()
        roots = bytes.fromhex(found["old_root"]), bytes.fromhex(found["new_root"])
        hashes = [bytes.fromhex(each) for each in found["hashes"]]
        check_consistency(old, roots[0], new, roots[1], hashes)
    assert as_staff.get(f"{URL}/consistency?from=5").json()["new"] == 62
    for wrong in ("from=63", "from=5&to=4", "from=1&to=63"):
        response = as_staff.get(f"{URL}/consistency?{wrong}")
        assert response.json()["errors"][0]["code"] == "invalid_tree_size"


def test_the_checkpoint_names_size_root_and_key(log: FrozenClock, as_staff: APIClient) -> None:
    found = as_staff.get(f"{URL}/checkpoint").json()
    assert (found["size"], found["public_key"]) == (62, public_key_line())
    assert open_checkpoint(found["checkpoint"]).root.hex() == found["root"]


def test_only_staff_and_readers_may_read(
    log: FrozenClock, as_user: APIClient, with_key: Any
) -> None:
    for path in ("", "/export", "/checkpoint", "/consistency", "/1/proof"):
        assert as_user.get(f"{URL}{path}").status_code == 403
        assert with_key("operations").get(f"{URL}{path}").status_code == 403
        assert with_key("audit:read").get(f"{URL}{path}").status_code == 200


def test_the_export_has_every_entry(log: FrozenClock, as_staff: APIClient) -> None:
    response = as_staff.get(f"{URL}/export?actor=user:1")
    lines = b"".join(response.streaming_content).splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(59, -1, -1))


def test_what_only_a_restore_needs_is_in_the_export_of_the_command(
    frozen: FrozenClock, as_staff: APIClient
) -> None:
    person = make_user()
    PrivacyService().erase_user(identifier=person.pk, reason="r", caller=SYSTEM)
    seal_due(now=frozen.now)
    query = "action=audit.erasure"
    (entry,) = as_staff.get(f"{URL}?{query}").json()["results"]
    assert entry["after"]["certificate"]
    files = [
        b"".join(as_staff.get(f"{URL}/export{form}?{query}").streaming_content).decode()
        for form in ("", ".csv")
    ]
    assert all("certificate" in file for file in files)
    for shown in (json.dumps(entry), *files):
        assert "suppressions" not in shown
        assert '"keys' not in shown
    (line,) = run("export", "--action", "audit.erasure").stdout.splitlines()
    after = json.loads(line)["after"]
    assert after["keys"]
    assert after["suppressions"]


def run(*words: str) -> Any:
    return CliRunner().invoke(carillon, ["audit", *words])


def test_the_command_exports_csv_and_ndjson(log: FrozenClock) -> None:
    rows = list(csv.DictReader(io.StringIO(run("export", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == [str(number) for number in range(60, -1, -1)]
    assert json.loads(rows[-1]["after"]) == {"number": 1}
    lines = run("export", "--action", "category.changed").stdout.splitlines()
    assert [json.loads(line)["actor"] for line in lines] == ["key:3"]


def test_the_command_prints_a_checkpoint_and_verifies_with_it(
    log: FrozenClock, tmp_path: Any
) -> None:
    file = tmp_path / "checkpoint.txt"
    file.write_text(run("checkpoint").stdout)
    assert run("checkpoint", "--key").stdout.strip() == public_key_line()
    write(5, first=100)
    seal_due(now=log.now)
    result = run("verify", "--checkpoint", str(file), "--json")
    found = json.loads(result.stdout.splitlines()[-1])
    assert (result.exit_code, found["ok"], found["leaves"], found["first_bad"]) == (
        0,
        True,
        67,
        None,
    )
    assert "67 leaves and 2 checkpoints are as they were sealed" in run("verify").stdout

    AuditLeaf.objects.filter(pk=40).update(actor="user:9")
    result = run("verify", "--checkpoint", str(file))
    assert result.exit_code == 1
    assert "1 faults; the first bad row is leaf 40" in result.stdout
    found = json.loads(run("verify", "--json").stdout.splitlines()[-1])
    assert found["first_bad"] == {"leaf": 40, "row": "leaf 40"}


def test_a_wrong_checkpoint_file_is_named(log: FrozenClock, tmp_path: Any) -> None:
    file = tmp_path / "checkpoint.txt"
    file.write_text(run("checkpoint").stdout.replace("\n62\n", "\n61\n"))
    result = run("verify", "--checkpoint", str(file))
    assert result.exit_code == 2
    assert "no known key has signed this checkpoint" in result.stderr


def test_an_entry_by_the_api_has_the_clients_address(
    frozen: FrozenClock, as_staff: APIClient
) -> None:
    body = {"scope": "channel", "value": "email", "reason": "vendor incident"}
    made = as_staff.post(
        "/api/v1/kill-switch", body, format="json", HTTP_USER_AGENT="tester/1", REMOTE_ADDR="::1"
    )
    assert made.status_code == 201
    seal_due(now=frozen.now)
    (row,) = as_staff.get(f"{URL}?action=kill-switch.stop").json()["results"]
    assert (row["ip"], row["user_agent"], row["reason"]) == ("::1", "tester/1", "vendor incident")
    assert row["after"]["scope"] == "channel"


def test_entries_are_exported_as_csv_without_formulas(
    frozen: FrozenClock, as_staff: APIClient
) -> None:
    write_entry(NewEntry(actor="user:1", action="a", target="t", reason="=1+1"), at=frozen.now)
    seal_due(now=frozen.now)
    response = as_staff.get(f"{URL}/export.csv?action=a")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(response.streaming_content).decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["actor"], row["reason"]) == ("user:1", "'=1+1")


def test_an_erased_users_entries_are_found_by_integer_id(
    frozen: FrozenClock, as_staff: APIClient
) -> None:
    user = make_user(external_id="p-7")
    key = user.pk
    as_staff.post(f"/api/v1/privacy/users/{key}/export")
    assert as_staff.delete(f"/api/v1/users/{key}").status_code == 202
    erase_due(now=frozen.now)
    seal_due(now=frozen.now)
    (row,) = as_staff.get(f"{URL}?user_id={key}").json()["results"]
    assert row["action"] == "export.requested"
    assert as_staff.get(f"{URL}?external_id=p-7").json()["results"] == []
