"""Mail settings in the data folder: read last, whole, and only by an embedded service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carillon.settings.topics.sources import mail_variables, with_mail_file
from notifications.delivery.mail.settings_file import (
    VARIABLES,
    MailFileFault,
    path_in,
    write_mail_file,
)

VALUES = dict(
    zip(VARIABLES, ("smtp", "b@example.com", "h", "25", "none", "ann", "p'w\""), strict=True)
)


def given(folder: Path, **more: str) -> dict[str, str]:
    return {"CARILLON_DATA_DIR": str(folder), **more}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert with_mail_file(given(tmp_path)) == given(tmp_path)
    write_mail_file(tmp_path, {**VALUES, "CARILLON_SMTP_HOST": "old"})
    write_mail_file(tmp_path, VALUES)
    assert path_in(tmp_path).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["mail-settings.json"]
    # An empty variable counts as not set.
    found = with_mail_file(given(tmp_path, CARILLON_SMTP_HOST=" "))
    assert {name: found[name] for name in VALUES} == VALUES


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_of_the_environment_leaves_the_whole_file_out(
    tmp_path: Path, variable: str
) -> None:
    """Else a password of the environment would go to a server that the console chose."""
    write_mail_file(tmp_path, VALUES)
    outer = given(tmp_path, **{variable: "x"})
    assert with_mail_file(outer) == outer
    assert mail_variables(outer) == (variable,)


def test_a_service_with_a_database_of_its_own_does_not_start_with_it(tmp_path: Path) -> None:
    outer = given(tmp_path, CARILLON_DATABASE_URL="postgres://x")
    assert with_mail_file(outer) == outer
    write_mail_file(tmp_path, VALUES)
    with pytest.raises(MailFileFault, match="only for a service without CARILLON_DATABASE_URL"):
        with_mail_file(outer)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"CARILLON_SECRET_KEY": "x"}', '{"CARILLON_SMTP_PORT": 25}']
)
def test_a_file_with_something_else_is_named(tmp_path: Path, text: str) -> None:
    path_in(tmp_path).write_text(text)
    with pytest.raises(MailFileFault, match=r"mail-settings\.json .*: delete it"):
        with_mail_file(given(tmp_path))


def test_texts_beyond_ascii_are_stored(tmp_path: Path) -> None:
    write_mail_file(tmp_path, {"CARILLON_EMAIL_FROM": "Колокол <b@example.com>"})
    assert json.loads(path_in(tmp_path).read_bytes())["CARILLON_EMAIL_FROM"].startswith("Колокол")
    assert "Колокол" in with_mail_file(given(tmp_path))["CARILLON_EMAIL_FROM"]
