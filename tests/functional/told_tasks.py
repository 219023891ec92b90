"""What a Celery worker loads with `-I`: it writes down how its tasks ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import signals


@signals.task_postrun.connect
def note(task_id: str, task: Any, state: str, **_: Any) -> None:
    """A line a task: name, id, state."""
    with Path(os.environ["TOLD_TASKS"]).open("a") as told:
        told.write(f"{task.name} {task_id} {state}\n")
