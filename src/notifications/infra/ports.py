"""The ports that tests replace: clocks, randomness, sleep, threads, and connections to SQLite.

Each name is the standard library's own. A simulation (`carillon sim`) replaces them all within
`installed`, before any of them is used. Call them through the module (`ports.sleep(1)`): a name
that was imported from here would stay the real one. Sockets have no port of their own: providers
and local wake-ups open the only ones, and a simulation replaces both.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any


def _one_thread(name: str) -> Executor:
    return ThreadPoolExecutor(1, thread_name_prefix=name)


#: Seconds on a clock that never jumps.
monotonic: Callable[[], float] = time.monotonic
#: The machine's clock, aware, in UTC.
utc_now: Callable[[], datetime] = partial(datetime.now, UTC)
#: A random number from 0 to 1, for jitter; never for secrets.
chance: Callable[[], float] = random.random
#: A number of so many random bits, for the order of ids; never for secrets.
bits: Callable[[int], int] = random.getrandbits
#: Random hexadecimal text of so many bytes.
token: Callable[[int], str] = secrets.token_hex
#: Waits for some seconds.
sleep: Callable[[float], object] = time.sleep
#: `threading.Thread`, `threading.Event`, `threading.Condition`.
Thread: Callable[..., threading.Thread] = threading.Thread
Event: Callable[[], threading.Event] = threading.Event
Condition: Callable[[], threading.Condition] = threading.Condition
#: An executor with one thread of a name.
one_thread: Callable[[str], Executor] = _one_thread
#: The class of SQLite connections: each statement is a port in a simulation.
SQLiteConnection: type[sqlite3.Connection] = sqlite3.Connection


@contextmanager
def installed(**replacements: Any) -> Iterator[None]:
    """Replaces ports within the block.

    Raises:
        AttributeError: there is no port of that name.
    """
    names = globals()
    unknown = replacements.keys() - names.keys()
    if unknown:
        raise AttributeError(f"no such port: {', '.join(sorted(unknown))}")
    before = {name: names[name] for name in replacements}
    names.update(replacements)
    try:
        yield
    finally:
        names.update(before)
