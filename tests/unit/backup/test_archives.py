"""Archives: an incomplete or changed one is an error, and old archives of keys are deleted."""

from __future__ import annotations

import io
import os
import tarfile
from datetime import UTC, datetime, timedelta

import pytest

from carillon.backup import databases, leftovers, restoring
from carillon.backup.archives import (
    InvalidArchive,
    Manifest,
    archive_name,
    archives_in,
    digest_of,
    extract,
    read_manifest,
    time_of,
    write_archive,
)
from carillon.backup.databases import Programs
from carillon.backup.making import delete_old_keys
from carillon.backup.programs import ProgramFailed, program, run_program
from carillon.backup.restoring import RestorePlan, UnknownErasures, choose_archives
from notifications.features.privacy import known as known_file
from notifications.features.privacy.known import KnownKey, write_erasures

AT = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
SETTINGS = {"NAME": "n", "USER": "u", "PASSWORD": "p", "HOST": "h", "PORT": "", "OPTIONS": {}}


def make(folder, part="main", at=AT, content=b"rows" * 5_000, backup="b"):
    copy = folder / "copy"
    copy.write_bytes(content)
    digest, size = digest_of(copy)
    path = folder / archive_name(part, at)
    manifest = Manifest(
        part=part,
        backup=backup,
        version="1",
        database="sqlite",
        keys_in_main=False,
        at=at,
        migrations=[],
        sha256=digest,
        bytes=size,
    )
    write_archive(path, manifest, copy)
    return path


def plan(folder, main=None, **values):
    given = {
        "main": main,
        "keys": None,
        "erasures": [],
        "none_since": None,
        "replaces": False,
        "send_open": False,
        "folder": folder,
        "programs": Programs("", 1.0),
        "manifests": {} if main is None else {main: read_manifest(main)},
        **values,
    }
    return RestorePlan(**given)


def erasures(folder, at):
    path = folder / f"erasures-{at:%H}"
    write_erasures(path, now=at, main=False, keys=False)
    return path


def test_an_archive_returns_its_content_and_only_its_owner_may_read_it(tmp_path):
    path = make(tmp_path)
    extract(path, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"rows" * 5_000
    assert (path.stat().st_mode & 0o777, read_manifest(path).at) == (0o600, AT)
    with pytest.raises(FileExistsError):
        make(tmp_path)
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize(
    "damage", ["changed", "short", "no archive", "empty", "no content", "no tag", "other manifest"]
)
def test_a_damaged_archive_is_an_error(damage, tmp_path):
    path = make(tmp_path)
    raw = bytearray(path.read_bytes())
    if damage == "changed":
        raw[6_000] ^= 1
    texts = {
        "short": raw[:9_000],
        "no archive": b"x" * 2_000,
        "empty": b"",
        "no content": raw[: raw.index(b"content\0")],
        "no tag": raw[: raw.index(b"manifest.hmac")],
        "other manifest": raw.replace(b"sqlite", b"sqlitE"),
    }
    path.write_bytes(texts.get(damage, raw))
    with pytest.raises(InvalidArchive):
        extract(path, tmp_path / "back")


def rewritten(path, change):
    """Writes an archive again, with changed headers."""
    with tarfile.open(path) as old:
        members = [(each, old.extractfile(each).read()) for each in old.getmembers()]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as new:
        for entry, raw in members:
            change(entry)
            new.addfile(entry, io.BytesIO(raw))


def link(entry):
    if entry.name == "content":
        entry.type, entry.linkname, entry.size = tarfile.LNKTYPE, "manifest.json", 0


def sparse(entry):
    if entry.name == "content":
        entry.size = 10
        entry.pax_headers = {"GNU.sparse.size": f"{1 << 50}", "GNU.sparse.map": "0,10"}


def shorter(entry):
    if entry.name == "content":
        entry.size -= 100


@pytest.mark.parametrize(
    ("change", "words"), [(link, "a link"), (sparse, "sparse"), (shorter, "19,900 bytes")]
)
def test_an_archive_with_other_members_is_refused_before_it_is_copied(change, words, tmp_path):
    path = make(tmp_path)
    rewritten(path, change)
    with pytest.raises(InvalidArchive, match=words):
        extract(path, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_an_archive_of_another_secret_key_is_refused(tmp_path, settings):
    path = make(tmp_path)
    settings.SECRET_KEY = "of another installation"
    with pytest.raises(InvalidArchive, match="CARILLON_SECRET_KEY"):
        read_manifest(path)


def test_archives_of_different_backups_are_refused(tmp_path, monkeypatch):
    main, keys = make(tmp_path), make(tmp_path, "keys", backup="other")
    monkeypatch.setattr(restoring, "keys_in_main", lambda: False)
    monkeypatch.setattr(restoring.Place, "kind", "sqlite")
    with pytest.raises(InvalidArchive, match="different backups"):
        restoring._check_archives(plan(tmp_path, main, keys=keys))
    restoring._check_archives(plan(tmp_path, main, keys=keys, mixes=True))


def test_a_manifest_of_a_later_form_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("carillon.backup.archives.FORM", 2)
    with pytest.raises(InvalidArchive, match="this release knows 2"):
        read_manifest(make(tmp_path).rename(tmp_path / "x.tar"))


def test_only_archives_of_keys_that_are_too_old_are_deleted(tmp_path):
    old = [make(tmp_path, part, AT - timedelta(days=8)) for part in ("main", "keys")]
    young = make(tmp_path, "keys", AT - timedelta(days=6))
    other = tmp_path / "carillon-keys-notes.tar"
    other.write_text("x")
    assert delete_old_keys(tmp_path, now=AT, days=7) == [old[1]]
    assert old[0].exists()
    assert archives_in(tmp_path, "keys") == [young]
    assert other.exists()
    assert time_of(other) is None


def test_what_a_killed_backup_left_is_deleted_after_days(tmp_path):
    space = tmp_path / ".carillon-x1"
    space.mkdir()
    left = [space / "keys", tmp_path / "carillon-keys-20300501T120000Z.tar.new"]
    other = tmp_path / "notes.tar.new"
    for path in (*left, other):
        path.write_text("x")
    for path in (*left, other, space):
        os.utime(path, (AT.timestamp(), AT.timestamp()))
    assert delete_old_keys(tmp_path, now=AT + timedelta(days=1), days=7) == []
    gone = delete_old_keys(tmp_path, now=AT + timedelta(days=3), days=7)
    assert gone == [space, left[1]]
    assert list(tmp_path.iterdir()) == [other]


def test_what_a_killed_restore_extracted_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers.Place, "kind", "postgresql")
    for now, stays in ((AT + timedelta(days=1), True), (AT + timedelta(days=3), False)):
        path = tmp_path / ".keys.restoring"
        path.write_text("x")
        os.utime(path, (AT.timestamp(), AT.timestamp()))
        leftovers.delete_extracted(tmp_path, now=now)
        assert path.exists() is stays
    path.write_text("x")
    leftovers.delete_extracted(tmp_path)
    assert not path.exists()


def test_the_newest_archives_of_a_folder_are_chosen(tmp_path):
    main = [make(tmp_path, at=AT + timedelta(hours=n)) for n in range(2)]
    assert choose_archives([tmp_path]) == (main[1], None)
    keys = make(tmp_path, "keys")
    assert choose_archives([tmp_path]) == (main[1], keys)
    assert choose_archives([keys, main[0]]) == (main[0], keys)
    own = make(tmp_path, "keys", AT + timedelta(hours=1))
    make(tmp_path, "keys", AT + timedelta(hours=2))
    assert choose_archives([tmp_path]) == (main[1], own)
    for wrong in ([keys], main):
        with pytest.raises(InvalidArchive):
            choose_archives(wrong)
    (tmp_path / "none").mkdir()
    with pytest.raises(InvalidArchive):
        choose_archives([tmp_path / "none"])


@pytest.mark.parametrize(
    ("hours", "none_since", "well"),
    [
        (None, None, False),
        (None, AT, True),
        (None, AT + timedelta(hours=1), False),
        (-1, None, False),
        (-1, AT, True),
        (1, None, True),
        (1, AT + timedelta(hours=1), True),
        (1, AT + timedelta(hours=2), False),
    ],
)
def test_a_restore_requires_to_know_the_erasures_since_the_backup(
    hours, none_since, well, tmp_path
):
    files = [] if hours is None else [erasures(tmp_path, AT + timedelta(hours=hours))]
    made = plan(tmp_path, make(tmp_path), erasures=files, none_since=none_since)
    if well:
        restoring._read_known(made)
        return
    with pytest.raises(UnknownErasures):
        restoring._read_known(made)


@pytest.mark.parametrize(("hours", "well"), [(-1, False), (0, True), (1, True)])
def test_a_file_of_erasures_reaches_to_the_newest_row_of_a_loaded_database(hours, well, tmp_path):
    file = erasures(tmp_path, AT + timedelta(hours=hours))
    made = plan(tmp_path, erasures=[file], loaded_at=AT)
    assert made.backup_at == AT
    if well:
        restoring._read_known(made)
        return
    with pytest.raises(UnknownErasures, match="newest row"):
        restoring._read_known(made)
    restoring._read_known(plan(tmp_path, erasures=[file], none_since=AT, loaded_at=AT))


def test_erasures_of_an_interrupted_restore_are_read_again(tmp_path, monkeypatch):
    main = make(tmp_path)
    path = tmp_path / "erasures-before-restore-1.ndjson"
    key = KnownKey(7, "person", AT)
    monkeypatch.setattr(known_file, "_rows", lambda **_: iter([key]))
    write_erasures(path, now=AT + timedelta(days=9))
    known = restoring._read_known(plan(tmp_path, main, none_since=AT))
    assert known.until is None
    assert set(known.keys) == {7}


def test_a_missing_program_is_an_error_that_names_the_setting(tmp_path):
    with pytest.raises(ProgramFailed, match="CARILLON_POSTGRES_PROGRAMS"):
        program("pg_dump", str(tmp_path))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'server version mismatch' >&2; exit 1", "CARILLON_POSTGRES_PROGRAMS"),
        ("exit 1", "it said nothing"),
        ("exec tail -f /dev/null", "did not end"),
    ],
)
def test_a_program_that_fails_is_an_error(script, words, tmp_path):
    path = tmp_path / "pg_dump"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(ProgramFailed, match=words):
        run_program("pg_dump", [], SETTINGS, folder=str(tmp_path), seconds=0.3)


def test_the_password_is_not_among_the_words_of_a_program(tmp_path):
    path = tmp_path / "pg_dump"
    path.write_text(f'#!/bin/sh\necho "$@ $PGPASSWORD" > {tmp_path}/seen\n')
    path.chmod(0o755)
    run_program("pg_dump", ["--x"], SETTINGS, folder=str(tmp_path), seconds=60)
    assert (
        tmp_path / "seen"
    ).read_text() == "--dbname=dbname=n user=u host=h --no-password --x p\n"


def test_the_password_of_a_client_key_is_in_a_file_of_its_owner(tmp_path):
    path = tmp_path / "pg_dump"
    path.write_text(
        '#!/bin/sh\n(echo "$@" "$PGSERVICE"; stat -c %a "$PGSERVICEFILE"; cat "$PGSERVICEFILE";'
        f' echo "$PGSERVICEFILE") > {tmp_path}/seen\n'
    )
    path.chmod(0o755)
    options = {"sslpassword": "a=b #c", "sslkey": "k.pem"}
    given = {**SETTINGS, "OPTIONS": options}
    run_program("pg_dump", [], given, folder=str(tmp_path), seconds=60)
    words, mode, *lines, name = (tmp_path / "seen").read_text().splitlines()
    assert words == "--dbname=dbname=n user=u host=h sslkey=k.pem --no-password carillon"
    assert (mode, lines) == ("600", ["[carillon]", "sslpassword=a=b #c"])
    assert not os.path.exists(name)
    options["sslpassword"] = "a\nsslmode=disable"
    with pytest.raises(ProgramFailed, match="sslpassword"):
        run_program("pg_dump", [], given, folder=str(tmp_path), seconds=60)


def test_tables_of_keys_are_left_out_of_the_main_copy_in_any_schema(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(databases, "run_program", lambda name, words, *_, **__: seen.extend(words))
    monkeypatch.setattr(databases.Place, "kind", "postgresql")
    databases.copy_out(databases.Place("main"), tmp_path / "copy", Programs("", 1.0))
    assert seen[2:] == [
        "--exclude-table=*.vault_datakey",
        "--exclude-table=*.vault_erasedkey",
        "--exclude-table-data=*.notifications_installationstate",
    ]
