"""A setting: its default, its reader and its meaning; and the readers that settings share.

A reader turns text into a value, and raises ValueError or KeyError for text that it cannot read.
Its docstring completes "set it to ..." in error messages and in docs/reference/settings.md.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit


def setting(default: Any, read: Callable[[str], Any], help_text: str, **more: Any) -> Any:
    """A field of a frozen dataclass of settings. more: what else is known of the setting."""
    return field(default=default, metadata={"read": read, "help": help_text, **more})


def integer(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    read.__doc__ = f"a whole number from {low:,} to {high:,}"
    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """A reader of one word out of some."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    read.__doc__ = "one of " + ", ".join(choices)
    return read


def text(text: str) -> str:
    """text"""
    return text


def words(text: str) -> tuple[str, ...]:
    """words separated by commas"""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def json_object(text: str) -> str:
    """a JSON object"""
    if not isinstance(json.loads(text), dict):
        raise ValueError
    return text


def web_url(text: str) -> str:
    """an http:// or https:// URL without a trailing slash"""
    parts = urlsplit(text)
    # Reading a port that is not a number raises ValueError.
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    return text.rstrip("/")


def optional_url(text: str) -> str:
    """an http:// or https:// URL without a trailing slash, or nothing"""
    return web_url(text) if text else ""


def signing_secret(text: str) -> str:
    """whsec_ and standard base64 of 24 to 64 bytes, or nothing"""
    if text and not text.startswith("whsec_"):
        raise ValueError
    if text and not 24 <= len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) <= 64:
        raise ValueError
    return text
