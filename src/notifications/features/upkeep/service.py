"""The background work of a delivering process: the periodic loops and the queued tasks."""

from __future__ import annotations

from notifications.domain.loops import TASKS
from notifications.features.background.loops import LoopRunner
from notifications.features.background.task_runner import TaskRunner
from notifications.features.background.work_probe import WorkProbe
from notifications.features.upkeep.rounds import ScheduleRounds, loop_calls, loop_conditions


class BackgroundWork:
    """The periodic loops and the queued tasks of one process.

    owner: the process's name. standby: run a loop only if Celery's tasks have not done so lately.
    """

    def __init__(self, *, owner: str, standby: bool = False) -> None:
        self._runner = TaskRunner(owner=owner)
        rounds = ScheduleRounds()
        calls = {**loop_calls(rounds), TASKS.name: self._runner.start_due}
        self._loops = LoopRunner(
            calls,
            owner=owner,
            standby=standby,
            beside=self._runner.threads(),
            probe=WorkProbe(loop_conditions(rounds)),
        )
        self._runner.wake = lambda: self._loops.poke(TASKS.name)

    def start(self) -> None:
        """Starts the threads."""
        self._loops.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the threads.

        A task or a round that takes longer ends with the process; another process runs it again.
        """
        self._loops.stop(seconds)
        self._runner.close()
