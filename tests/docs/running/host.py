"""`carillon` commands of one environment, without a start of Django for each.

The stand-in of the command asks a host through a socket and passes its own input and output along;
the host runs the command in a fork of itself. A page has a dozen commands, and each would start
Django anew. What runs until it is ended is not waited for: the answer is its process.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys
from typing import Any

import django
from django.core.management import execute_from_command_line

from carillon.cli import main


def serve(place: str) -> None:
    """Runs a command for each caller, one after the other, until the process is ended."""
    django.setup()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{place}.new")
        door.listen()
        os.rename(f"{place}.new", place)
        while True:
            caller, _ = door.accept()
            with caller:
                _answer(caller)


def _answer(caller: socket.socket) -> None:
    size = array.array("i").itemsize * 3
    raw, more, _, _ = caller.recvmsg(1 << 20, socket.CMSG_SPACE(size))
    numbers = array.array("i")
    numbers.frombytes(more[0][2][:size])
    asked = json.loads(raw)
    child = os.fork()
    if not child:
        _run(asked, list(numbers))
    for number in numbers:
        os.close(number)
    if asked["for_ever"]:
        caller.sendall(str(child).encode())
        return
    _, status = os.waitpid(child, 0)
    caller.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _run(asked: dict[str, Any], numbers: list[int]) -> None:
    code = 1
    try:
        for place, number in enumerate(numbers):
            os.dup2(number, place)
        if asked["for_ever"]:
            os.setsid()
        os.chdir(str(asked["folder"]))
        program, *words = asked["words"]
        if program == "django-admin":
            execute_from_command_line([program, *words])
        else:
            main(words)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
