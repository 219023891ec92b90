"""Loaded by Python itself in a process that is to stand still inside a transaction of some kind.

HOSTS_STOP_AT is a regular expression; the process stops after the first statement that it finds,
and makes the file HOSTS_MARK first. What is a transaction by itself is committed by then.
"""

import os
import re
import signal
import threading

import psycopg

PATTERN = re.compile(os.environ["HOSTS_STOP_AT"], re.DOTALL)
_execute = psycopg.Cursor.execute


def execute(self, query, *arguments, **more):
    result = _execute(self, query, *arguments, **more)
    text = query.decode() if isinstance(query, bytes) else str(query)
    if PATTERN.search(text):
        with open(os.environ["HOSTS_MARK"], "w") as mark:
            mark.write(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)
        threading.Event().wait()  # the first process of a pid namespace is not stopped by itself
    return result


psycopg.Cursor.execute = execute
