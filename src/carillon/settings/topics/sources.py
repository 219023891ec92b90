"""Where the variables come from: the environment, `.env`, and the data folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from notifications.delivery.mail.settings_file import (
    VARIABLES,
    MailFileFault,
    path_in,
    read_mail_file,
)


def dotenv(path: Path) -> dict[str, str]:
    """Returns the `NAME=value` lines of a .env file; the real environment overrides them."""
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {
        name.strip().removeprefix("export "): value.strip().strip("'\"")
        for name, value in pairs
        if not name.lstrip().startswith("#")
    }


def variables_given() -> dict[str, str]:
    """Returns all variables of the environment and of .env."""
    return {**dotenv(Path(".env")), **os.environ}


def mail_variables(given: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of the mail settings that have a value; then the stored ones do not count.

    So no password of the environment goes to a server that the console chose, nor the reverse.
    """
    return tuple(name for name in VARIABLES if given.get(name, "").strip())


def with_mail_file(given: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the variables with the mail settings that the console stored in the data folder.

    Raises:
        MailFileFault: the file cannot be used, or the service is not embedded.
    """
    if mail_variables(given):
        return given
    folder = Path(given.get("CARILLON_DATA_DIR", "").strip() or "var").expanduser()
    stored = read_mail_file(folder)
    if stored and given.get("CARILLON_DATABASE_URL", "").strip():
        raise MailFileFault(
            f"{path_in(folder)} is only for a service without CARILLON_DATABASE_URL: delete it,"
            " and set its variables in the environment of every process"
        )
    return {**given, **stored}
