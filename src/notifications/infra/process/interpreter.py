"""Settings of the interpreter for processes whose threads wait for a database beside a busy one."""

from __future__ import annotations

import gc
import sys

_SWITCH_S = 0.0001
_GC_THRESHOLDS = (20_000, 20, 50)


def tune_interpreter() -> None:
    """Switches threads early and collects garbage rarely. Call it when everything is imported.

    At Python's default of 5 ms, a thread that returns from the database waits that long for the
    interpreter, a dozen times in each transaction.
    """
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # the objects of the start live for ever: the collector need not visit them again
    gc.set_threshold(*_GC_THRESHOLDS)
