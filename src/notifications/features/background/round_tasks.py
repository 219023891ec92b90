"""Tasks that run one round of a periodic loop."""

from __future__ import annotations

from typing import Any

from celery import Task

from notifications.domain.loops import LoopSpec
from notifications.features.background.loops import run_round


class RoundTask(Task[..., Any]):
    """A task of beat. Its round runs only if no other process runs a round of the same loop.

    Called directly or eagerly it always runs, because any round may run beside others.
    """

    abstract = True
    throws = (Exception,)  # the round has logged it already, with a trace id
    #: Set where the task is declared.
    loop: LoopSpec
    #: The result where another process runs a round.
    idle: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly or self.request.is_eager:
            return super().__call__(*args, **kwargs)
        result = run_round(self.loop, lambda: self.run(*args, **kwargs))
        return self.idle if result is None else result
