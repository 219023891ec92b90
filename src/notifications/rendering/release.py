"""What renders here: a name that changes with this service and with the libraries that compile.

A version that was proved by another release is proved again.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from importlib.metadata import PackageNotFoundError, version

WANTED = "?"
"""What a version bears that a worker rendered before anybody had proved it."""
_PARTS = ("carillon", "jinja2", "markupsafe", "babel", "mjml-python", "css-inline", "inscriptis")


@functools.cache
def release() -> str:
    """The name, of 16 characters."""
    parts = [f"{name} {_version(name)}" for name in _PARTS]
    parts.append(f"python {sys.version_info[0]}.{sys.version_info[1]}")
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def failed() -> str:
    """What a version bears whose example took too much here: it is not tried again and again."""
    return f"!{release()[1:]}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from its source, uninstalled
        return ""
