"""The mail settings that an embedded installation keeps in its data folder.

The console's first-run guide writes the file, and the settings read it when a process starts. It is
one JSON object: the variable's name to its text. Only the service's user may read it, because it
has the password of the SMTP server, as a `.env` file would. Variables of the environment and of
`.env` win over it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from notifications.infra.files import flush_folder, private_file

VARIABLES = (
    "CARILLON_EMAIL_PROVIDER",
    "CARILLON_EMAIL_FROM",
    "CARILLON_SMTP_HOST",
    "CARILLON_SMTP_PORT",
    "CARILLON_SMTP_TLS",
    "CARILLON_SMTP_USER",
    "CARILLON_SMTP_PASSWORD",
)
"""The variables that the file may have; a file with any other is refused."""
_MOST_BYTES = 20_000


class MailFileFault(ValueError):
    """The file cannot be used; the text names it and says what to do."""


def path_in(data_dir: Path) -> Path:
    """Returns the path of the file, which need not exist."""
    return data_dir / "mail-settings.json"


def read_mail_file(data_dir: Path) -> dict[str, str]:
    """Returns the stored variables by name; none without a file.

    Raises:
        MailFileFault: the file cannot be read, or has something else.
    """
    path = path_in(data_dir)
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MailFileFault(_fault(path, "cannot be read")) from error
    if not isinstance(found, dict) or not all(
        name in VARIABLES and isinstance(text, str) for name, text in found.items()
    ):
        raise MailFileFault(_fault(path, "has other things than mail settings"))
    return found


def write_mail_file(data_dir: Path, values: Mapping[str, str]) -> None:
    """Replaces the file. A process that reads it meanwhile sees the old one or the new one.

    Raises:
        OSError: the folder cannot be written.
    """
    path = path_in(data_dir)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    try:
        with private_file(draft) as file:
            file.write(json.dumps(dict(values), indent=1, ensure_ascii=False).encode())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(data_dir)


def _fault(path: Path, what: str) -> str:
    return f"{path} {what}: delete it, and store the mail settings again"
