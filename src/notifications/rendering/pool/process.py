"""A render process: reads requests from its standard input, a socket, and replies on it.

It starts with an empty environment and imports no settings, so it has no secret and no database.
It ends when the other end of the socket closes.
"""

from __future__ import annotations

import difflib
import gc
import os
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from notifications.domain.channels import Channel
from notifications.domain.errors import TemplateFault
from notifications.infra import clock
from notifications.rendering.accessibility.checks import find_barriers
from notifications.rendering.defaults import Defaults
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.lengths.push import push_fitted, push_length
from notifications.rendering.lengths.sms import sms_length
from notifications.rendering.pool import wire
from notifications.rendering.pool.process_limits import ProcessLimits
from notifications.rendering.render import CompiledVersion

READY = b"\x01"
CACHED_CHARACTERS = 2_000_000
"""Characters of texts whose compiled form is cached."""
_READ_BYTES = 256 * 1024


class VersionCache:
    """The versions that the process received, and the compiled form of those used last."""

    def __init__(self) -> None:
        self._texts: dict[bytes, wire.VersionText] = {}
        self._compiled: OrderedDict[bytes, CompiledVersion] = OrderedDict()
        self._characters = 0

    def add(self, versions: dict[bytes, wire.VersionText]) -> None:
        """Stores versions until the process ends: its parent sends each only once."""
        self._texts |= versions

    def version(self, name: bytes) -> CompiledVersion:
        """Returns the compiled version of a name."""
        found = self._compiled.get(name)
        if found is not None:
            self._compiled.move_to_end(name)
            return found
        text = self._texts[name]
        found = CompiledVersion(
            version_id=0,
            path=text.path,
            content=text.content,
            required_variables=text.required_variables,
            supported_channels=text.supported_channels,
            default_locale=text.default_locale,
            parts={path: self.version(part) for path, part in text.parts.items()},
            defaults=Defaults(text.locale, text.timezone),
        )
        self._compiled[name] = found
        self._characters += _characters(text)
        while self._characters > CACHED_CHARACTERS and len(self._compiled) > 1:
            gone, _ = self._compiled.popitem(last=False)
            self._characters -= _characters(self._texts[gone])
        return found


def _characters(text: wire.VersionText) -> int:
    return sum(len(each) for texts in text.content.values() for each in texts.values())


class JobRunner:
    """Runs the jobs of requests."""

    def __init__(self) -> None:
        self._versions = VersionCache()
        self._handlers: dict[type[wire.Job], Callable[[Any], wire.Reply]] = {
            wire.RenderJob: self._render,
            wire.ReviewJob: self._review,
            wire.PreviewJob: self._preview,
            wire.CompareJob: self._compare,
            wire.BarrierJob: self._barriers,
        }
        self.is_broken = False

    def add_versions(self, versions: dict[bytes, wire.VersionText]) -> None:
        """Stores versions that later jobs name."""
        self._versions.add(versions)

    def run(self, job: wire.Job) -> wire.Reply:
        """Runs a job and returns its reply; every error becomes a FaultReply."""
        try:
            return self._handlers[type(job)](job)
        except TemplateFault as fault:
            return wire.fault_of(fault)
        except MemoryError:
            self.is_broken = True  # the interrupted work may have left objects half changed
            return wire.FaultReply("it takes more memory than a render may use", LIMIT, {})
        except RecursionError:
            return wire.FaultReply("it is nested too deeply", LIMIT, {})
        except Exception as error:  # a fault in our code: the parent logs its place
            detail = f"it fails with {type(error).__name__}"
            return wire.FaultReply(detail, "template_error", {wire.PLACE: _place_of(error)})

    def _render(self, job: wire.RenderJob) -> wire.Reply:
        shown = self._versions.version(job.version).render(
            channel=job.channel,
            locale=job.locale,
            context=wire.decode_context(job.context),
            fit=job.fit,
        )
        return wire.Rendered(shown.title, shown.body, shown.html)

    def _review(self, job: wire.ReviewJob) -> wire.Reply:
        text = self._versions.version(job.version).text(job.field, job.locale)
        return wire.Reviewed(
            sorted(text.variables),
            sorted(text.reads),
            text.least_bytes,
            text.notes,
            sorted(text.of_user),
        )

    def _preview(self, job: wire.PreviewJob) -> wire.Reply:
        shown = self._versions.version(job.version).render(
            channel=job.channel,
            locale=job.locale,
            context=wire.decode_context(job.context),
            fit=False,
        )
        title, body = shown.title, shown.body
        sms = sms_length(body) if job.channel == Channel.SMS else None
        push = None
        if job.channel == Channel.PUSH:
            push = push_length(title, body)
            title, body = push_fitted(title, body)
        return wire.Previewed(title, body, shown.html, sms, push)

    def _compare(self, job: wire.CompareJob) -> wire.Reply:
        old, new = job.old.splitlines(), job.new.splitlines()
        return wire.Compared("\n".join(list(difflib.unified_diff(old, new, lineterm=""))[2:]))

    def _barriers(self, job: wire.BarrierJob) -> wire.Reply:
        found = find_barriers(job.html, locale=job.locale, is_whole=job.is_whole)
        return wire.Barriers(found)


def _place_of(error: Exception) -> str:
    """Returns module and line of an exception; never its text, which may quote a value."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return ""
    return f"{traceback.tb_frame.f_globals.get('__name__')}:{traceback.tb_lineno}"


def serve(connection: socket.socket, *, idle_seconds: float) -> None:
    """Replies to requests until the other end closes or idle_seconds pass without a request."""
    limits, runner = ProcessLimits(), JobRunner()
    gc.freeze()
    connection.sendall(READY)
    while (frame := _read(connection, idle_seconds)) is not None:
        limits.begin_request()
        request = wire.decode_request(frame)
        del frame
        runner.add_versions(request.versions)
        with clock.reading(lambda now=request.now: now):  # type: ignore[misc]
            for job in request.jobs:
                limits.begin_render()
                reply = runner.run(job)
                sent = _framed(reply)
                limits.end_render()
                connection.sendall(sent)
                if runner.is_broken:
                    return
        limits.end_request()
        if limits.is_full():
            return


def _framed(reply: wire.Reply) -> bytes:
    try:
        return wire.framed(reply)
    except UnicodeEncodeError:
        return wire.framed(
            wire.FaultReply(
                "it renders half of a character (a lone surrogate)", "template_error", {}
            )
        )


def _read(connection: socket.socket, idle_seconds: float) -> bytes | None:
    """Returns the bytes of the next request; None when no more will come."""
    connection.settimeout(idle_seconds or None)
    try:
        head = connection.recv(wire.LENGTH_BYTES, socket.MSG_WAITALL)
    except TimeoutError:
        return None
    if len(head) < wire.LENGTH_BYTES:
        return None
    connection.settimeout(None)
    left = int.from_bytes(head, "little")
    body = bytearray()
    while left:
        chunk = connection.recv(min(left, _READ_BYTES))
        if not chunk:
            return None
        body += chunk
        left -= len(chunk)
    return bytes(body)


def main() -> None:
    """Serves the socket on standard input. Argument: seconds without work after which it ends."""
    connection = socket.socket(fileno=os.dup(0))
    silence = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silence, number)
    try:
        serve(connection, idle_seconds=float(sys.argv[1]))
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent no longer waits for the reply


if __name__ == "__main__":
    main()
