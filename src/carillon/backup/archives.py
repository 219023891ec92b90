"""Archives: a tar file with a manifest and the copy of one database.

The manifest is the first member, so that it is read without the rest. The second one is its tag
under the secret key, which is in no archive. An archive gets its name only when it is complete and
on the disk.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

import msgspec

from notifications.infra.crypto import authenticator
from notifications.infra.files import private_file, whole_file

FORM = 1
Part = Literal["main", "keys"]
MAIN: Literal["main"] = "main"
KEYS: Literal["keys"] = "keys"
DatabaseKind = Literal["sqlite", "postgresql"]
_MANIFEST = "manifest.json"
_TAG = "manifest.hmac"
_CONTENT = "content"
_PURPOSE = "archive of a backup"
_STAMP = "%Y%m%dT%H%M%SZ"
_LONGEST_MANIFEST = 1_000_000
_BLOCK = 1 << 20


class InvalidArchive(Exception):
    """A file is no archive of `carillon backup`, or was changed."""


class Manifest(msgspec.Struct, kw_only=True):
    """What an archive says about itself."""

    form: int = FORM
    part: Part
    #: The same in the two archives of one backup.
    backup: str
    version: str
    database: DatabaseKind
    #: Whether the keys were tables of the main database.
    keys_in_main: bool
    #: When the copy began.
    at: datetime
    #: The applied migrations, as `app.name`.
    migrations: list[str]
    sha256: str
    bytes: int
    #: The newest signed checkpoint of the audit tree; empty where nothing was signed.
    checkpoint: str = ""


def archive_name(part: Part, at: datetime) -> str:
    """Returns the file name of an archive. It has the date, by which old ones are deleted."""
    return f"carillon-{part}-{at.astimezone(UTC):{_STAMP}}.tar"


def time_of(path: Path) -> datetime | None:
    """Returns the time in the name of an archive; None for another file."""
    text = path.name.removesuffix(".tar").rpartition("-")[2]
    try:
        found = datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return (
        found if path.name in (archive_name("main", found), archive_name("keys", found)) else None
    )


def archives_in(folder: Path, part: Part) -> list[Path]:
    """Returns the archives of one part in a folder, the oldest first."""
    found = folder.glob(f"carillon-{part}-*.tar")
    return sorted(path for path in found if time_of(path) is not None)


def digest_of(path: Path) -> tuple[str, int]:
    """Returns the SHA-256 hash (hexadecimal) and the size of a file."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
            size += len(block)
    return found.hexdigest(), size


def write_archive(path: Path, manifest: Manifest, content: Path) -> None:
    """Writes an archive that only its owner may read.

    Raises:
        OSError: it exists, or the disk is full.
    """
    with whole_file(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        text = msgspec.json.format(msgspec.json.encode(manifest))
        tag = _tag_of(text)
        tar.addfile(_entry(_MANIFEST, len(text)), io.BytesIO(text))
        tar.addfile(_entry(_TAG, len(tag)), io.BytesIO(tag))
        with content.open("rb") as copy:
            tar.addfile(_entry(_CONTENT, manifest.bytes), copy)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def read_manifest(path: Path) -> Manifest:
    """Returns the manifest of an archive.

    Raises:
        InvalidArchive: it is no archive, of a later form, or its tag is wrong. OSError: it cannot
            be read.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            return _manifest_of(tar, path)
    except tarfile.TarError as error:
        raise InvalidArchive(f"{path} is no archive of `carillon backup`: {error}") from error


def _manifest_of(tar: tarfile.TarFile, path: Path) -> Manifest:
    raw = _small(tar, path, _MANIFEST)
    if not hmac.compare_digest(_small(tar, path, _TAG), _tag_of(raw)):
        raise InvalidArchive(
            f"the manifest of {path} was changed, or comes from an installation with another"
            " CARILLON_SECRET_KEY: restore with the secret key of the backup"
        )
    try:
        found = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise InvalidArchive(f"the manifest of {path} cannot be read: {error}") from error
    if found.form != FORM:
        raise InvalidArchive(f"{path} has the form {found.form}, and this release knows {FORM}")
    return found


def _tag_of(manifest: bytes) -> bytes:
    """Returns the tag of a manifest, as hexadecimal text."""
    found = authenticator(_PURPOSE)
    found.update(manifest)
    return found.hexdigest().encode()


def _small(tar: tarfile.TarFile, path: Path, name: str) -> bytes:
    """Returns the bytes of the next member, which must have this name."""
    file, size = _member(tar, path, name)
    if size > _LONGEST_MANIFEST:
        raise InvalidArchive(f"{path} has a {name} of {size:,} bytes: it is too long")
    return file.read()


def _member(tar: tarfile.TarFile, path: Path, name: str) -> tuple[IO[bytes], int]:
    """Opens the next member, a plain file of this name; returns it and its size in bytes.

    A link would read another member, and a sparse file more bytes than the archive has.
    """
    entry = tar.next()
    if entry is None or entry.name != name:
        raise InvalidArchive(f"{path} has no {name}: it is incomplete, or no archive of a backup")
    file = tar.extractfile(entry) if entry.type == tarfile.REGTYPE else None
    if file is None or entry.issparse():
        raise InvalidArchive(f"{path} was changed: its {name} is a link or a sparse file")
    return file, entry.size


def extract(path: Path, target: Path) -> None:
    """Writes the content of an archive to a new file, and compares its hash.

    Raises:
        InvalidArchive: the content is not that of the manifest. OSError: the disk is full.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            manifest = _manifest_of(tar, path)
            file, size = _member(tar, path, _CONTENT)
            if size != manifest.bytes:
                raise InvalidArchive(
                    f"{path} was changed: its content has {size:,} bytes, and its manifest says"
                    f" {manifest.bytes:,}"
                )
            found = _copy(file, target)
    except (tarfile.TarError, EOFError) as error:
        raise InvalidArchive(f"{path} is incomplete: {error}") from error
    if found != (manifest.sha256, manifest.bytes):
        raise InvalidArchive(f"{path} was changed: its content has another hash than its manifest")


def _copy(file: IO[bytes], target: Path) -> tuple[str, int]:
    found, size = hashlib.sha256(), 0
    with private_file(target) as out:
        while block := file.read(_BLOCK):
            out.write(block)
            found.update(block)
            size += len(block)
    return found.hexdigest(), size
