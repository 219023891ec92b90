"""Reads the options that a send stored with its message."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any


@functools.lru_cache(maxsize=1024)
def options_of(text: str) -> Mapping[str, Any]:
    """Returns the options of a message. The caller must not change them."""
    options: dict[str, Any] = json.loads(text)
    return options
