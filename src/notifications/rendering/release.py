"""The name of this release, which changes with this service and with the libraries that compile.

A version that another release proved is proved again.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from importlib.metadata import PackageNotFoundError, version

WANTED = "?"
"""The `proved_by` of a version that a worker rendered before it was proved."""
_PARTS = ("carillon", "jinja2", "markupsafe", "babel", "mjml-python", "css-inline", "inscriptis")


@functools.cache
def release() -> str:
    """Returns the name of this release (16 characters)."""
    parts = [f"{name} {_version(name)}" for name in _PARTS]
    parts.append(f"python {sys.version_info[0]}.{sys.version_info[1]}")
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def failed() -> str:
    """Returns the `proved_by` of a version whose example exceeded the limits in this release.

    Such a version is not proved again by this release.
    """
    return f"!{release()[1:]}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # it runs from source and is not installed
        return ""
