"""Tasks that run one round of a periodic loop."""

from __future__ import annotations

from typing import Any

from celery import Task

from notifications.domain.loops import LoopSpec
from notifications.features.background.loops import run_round


class RoundTask(Task[..., Any]):
    """A task of beat: its round runs only while no other process runs one of the same loop.

    loop: the loop; given where the task is declared. Called directly, or in place, it always runs:
    every round may run beside others. idle: the answer where another process runs one.
    """

    abstract = True
    throws = (Exception,)  # what a round raises is in the log already, with its trace id
    loop: LoopSpec
    idle: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly or self.request.is_eager:
            return super().__call__(*args, **kwargs)
        answer = run_round(self.loop, lambda: self.run(*args, **kwargs))
        return self.idle if answer is None else answer
