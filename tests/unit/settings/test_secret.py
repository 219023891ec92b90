"""The secret that an embedded installation generates: unique, complete, readable by its owner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from carillon.settings import environment as module
from carillon.settings.environment import SettingsError, read_environment

ASK = """
import sys
from carillon.settings.environment import read_environment
print("ready", flush=True)
sys.stdin.readline()
print(read_environment({"CARILLON_DATA_DIR": sys.argv[1]}).secret_key)
"""


def ask(folder: Path) -> subprocess.Popen[str]:
    """Starts a process that generates or reads the secret on a signal."""
    return subprocess.Popen(
        [sys.executable, "-c", ASK, str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def secret_of(folder: Path) -> str:
    return read_environment({"CARILLON_DATA_DIR": str(folder)}).secret_key


def test_a_secret_is_generated_once_and_readable_only_by_its_owner(tmp_path):
    folder = tmp_path / "data"
    made = secret_of(folder)
    assert len(made) >= 32
    assert secret_of(folder) == made
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "secret-key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["secret-key"]


def test_two_processes_that_start_at_once_agree(tmp_path):
    first, second = ask(tmp_path), ask(tmp_path)
    for process in (first, second):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in (first, second):
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert keys[0] == keys[1]


def test_a_process_that_starts_while_the_secret_is_made_agrees(tmp_path, monkeypatch):
    """The second process reads at the worst moment: before the first has written anything."""
    seen: list[str] = []
    make = module.secrets.token_urlsafe

    def between(size: int) -> str:
        monkeypatch.setattr(module.secrets, "token_urlsafe", make)
        seen.append(secret_of(tmp_path))
        return make(size)

    monkeypatch.setattr(module.secrets, "token_urlsafe", between)
    seen.append(secret_of(tmp_path))

    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert len(seen[0]) >= 32


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "secret-key").write_text("")
    with pytest.raises(SettingsError, match=r"secret-key is empty: .*CARILLON_SECRET_KEY"):
        secret_of(tmp_path)


def test_a_given_secret_is_not_stored(tmp_path):
    given = {"CARILLON_DATA_DIR": str(tmp_path / "data"), "CARILLON_SECRET_KEY": "g" * 40}
    assert read_environment(given).secret_key == "g" * 40
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_written_is_reported(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SettingsError, match=r"CARILLON_DATA_DIR .* cannot be written.* set it to"):
        secret_of(file / "below")
