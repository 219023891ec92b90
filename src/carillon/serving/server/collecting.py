"""Keeps the garbage collector from visiting the objects of open sockets again and again.

Nothing else runs during a full collection, which visits all objects: 0.25 s with 4,000 sockets.
While sockets come, Python collects each time the objects grew by a quarter. So the objects of
sockets are frozen in steps. They are freed as ever when a socket closes; what only a collection
frees is found when half of the sockets have left, and at least every hour.
"""

from __future__ import annotations

import gc

from notifications.infra import clock

STEP = 250
"""So many more sockets are frozen at once."""
FULL_EVERY_S = 3_600.0


class FrozenSockets:
    """Freezes the objects of sockets. All state belongs to the event loop."""

    def __init__(self) -> None:
        self._frozen = 0
        self._collected_at = clock.monotonic()

    def note(self, sockets: int) -> None:
        """Takes the number of open sockets, after each change."""
        if self._frozen and (sockets < self._frozen // 2 or self._is_late()):
            gc.unfreeze()
            gc.collect()
            self._collected_at = clock.monotonic()
        elif sockets < self._frozen + STEP:
            return
        else:
            gc.collect(1)  # what came and went since the last step
        gc.freeze()
        self._frozen = sockets if sockets >= STEP else 0

    def _is_late(self) -> bool:
        return clock.monotonic() - self._collected_at > FULL_EVERY_S


FROZEN = FrozenSockets()
