"""Records that a worker was killed for a render: `python -m ... VERSION SOURCE`.

It is a separate process: the watchdog has no database, and the worker is about to die.
"""

from __future__ import annotations

import sys
from importlib import import_module

import django

from notifications.infra import clock


def main() -> None:
    """Counts the kill, which stops the version for the source."""
    version, source = sys.argv[1:]
    django.setup()
    rows = import_module("notifications.models").TemplateOverrun.objects
    rows.note(int(version), source, at=clock.now(), is_kill=True)


if __name__ == "__main__":
    main()
