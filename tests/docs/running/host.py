"""Runs the `carillon` commands of one environment without a start of Django for each.

The stand-in of the command sends its request through a socket and passes its own input and output.
The host runs the command in a fork of itself. A page has a dozen commands, and each would start
Django again. The host does not wait for a command that runs until it is ended: the response is the
id of its process.
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
    """Runs a command for each caller, one after the other, until the process ends."""
    django.setup()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}.new")
        listener.listen()
        os.rename(f"{place}.new", place)
        while True:
            caller, _ = listener.accept()
            with caller:
                _run_request(caller)


def _run_request(caller: socket.socket) -> None:
    size = array.array("i").itemsize * 3
    raw, more, _, _ = caller.recvmsg(1 << 20, socket.CMSG_SPACE(size))
    numbers = array.array("i")
    numbers.frombytes(more[0][2][:size])
    request = json.loads(raw)
    child = os.fork()
    if not child:
        _run(request, list(numbers))
    for number in numbers:
        os.close(number)
    if request["for_ever"]:
        caller.sendall(str(child).encode())
        return
    _, status = os.waitpid(child, 0)
    caller.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _run(request: dict[str, Any], numbers: list[int]) -> None:
    code = 1
    try:
        for place, number in enumerate(numbers):
            os.dup2(number, place)
        if request["for_ever"]:
            os.setsid()
        os.chdir(str(request["folder"]))
        program, *words = request["words"]
        if program == "django-admin":
            execute_from_command_line([program, *words])
        else:
            main(words)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
