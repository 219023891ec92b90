"""A module that a Celery worker loads with `-I`. It writes how the worker's tasks ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import signals


@signals.task_postrun.connect
def note(task_id: str, task: Any, state: str, **_: Any) -> None:
    """Writes one line for each task: name, id, state."""
    with Path(os.environ["REPORTED_TASKS"]).open("a") as reported:
        reported.write(f"{task.name} {task_id} {state}\n")
