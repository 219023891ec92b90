"""Reads the master keys, and builds the entry of the key store in Django's DATABASES."""

from __future__ import annotations

import base64
from importlib import import_module
from pathlib import Path
from typing import Any

from carillon.postgres.limits import Limits
from carillon.settings.database import database_settings
from carillon.settings.environment import Environment, SettingsError
from vault.master import KeyService, read_master_key

_NAME = "keys.sqlite3"


def master_key_texts(environment: Environment, derived: str) -> tuple[str, ...]:
    """Returns the master keys in base64, the current one first.

    Args:
        environment: the typed environment.
        derived: the key that is used where no key is set.

    Raises:
        SettingsError: a key cannot be read. The message names the setting and never the key.
    """
    given = environment.master_key or _from_file(environment.master_key_file) or derived
    texts = [given, *environment.old_master_keys]
    if environment.key_service:
        service = _service(environment.key_service)
        texts = [_unwrapped(service, text) for text in texts]
    for number, text in enumerate(texts):
        try:
            read_master_key(text)
        except ValueError as error:
            name = "CARILLON_OLD_MASTER_KEYS" if number else "CARILLON_MASTER_KEY"
            raise SettingsError(
                f"{name} is (hidden): set it to 32 bytes in base64, as"
                " `openssl rand -base64 32` prints them"
            ) from error
    return tuple(texts)


def _from_file(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).expanduser().read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"CARILLON_MASTER_KEY_FILE is {path!r}, which cannot be read: {error.strerror}"
        ) from error


def _service(path: str) -> KeyService:
    module, _, name = path.partition(":")
    try:
        made: KeyService = getattr(import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"CARILLON_KEY_SERVICE is {path!r}: set it to module:Class of an installed package"
        ) from error
    return made


def _unwrapped(service: KeyService, text: str) -> str:
    try:
        return base64.b64encode(service.unwrap(base64.b64decode(text))).decode()
    except Exception as error:
        raise SettingsError(
            f"CARILLON_KEY_SERVICE did not unwrap a master key: {type(error).__name__}: {error}"
        ) from error


def key_store_settings(environment: Environment, main: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the entry of the key store; None where the main database contains the keys."""
    limits = Limits(
        statement_s=environment.database_statement_timeout_seconds,
        lock_s=environment.database_lock_timeout_seconds,
        idle_s=environment.database_idle_timeout_seconds,
    )
    url = environment.keys_database_url
    if not url and main["ENGINE"] != "carillon.sqlite":
        return None
    folder = keys_folder(environment)
    if not url:
        _create(folder)
    return database_settings(
        url or f"sqlite:///{folder / _NAME}",
        folder,
        environment.database_pool_size,
        limits=limits,
        pool_s=environment.database_pool_timeout_seconds,
    )


def _create(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"CARILLON_KEYS_DIR ({folder}) cannot be created: {error.strerror};"
            " set it to a writable folder beside CARILLON_DATA_DIR"
        ) from error


def keys_folder(environment: Environment) -> Path:
    """Returns the folder of an embedded key store."""
    if environment.keys_dir != Path():
        return environment.keys_dir
    data = environment.data_dir.absolute()
    return data.with_name(f"{data.name}-keys")
