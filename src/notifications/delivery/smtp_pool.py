"""Mails waiting for a few connections to one SMTP server, each sending mail after mail.

A mail that waits when another's content is written goes with its envelope into the same write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from notifications.delivery.mime import Mail
from notifications.delivery.smtp_wire import (
    Reply,
    SmtpConnection,
    SmtpLost,
    SmtpRefused,
    SmtpServer,
    connect,
)
from notifications.infra import clock

_CONNECT_SHARE = 0.3  # of the time that a mail has
_IDLE_S = 60.0  # servers and firewalls forget connections; a new one costs less than a lost mail
_CLOSING = 421


class NotTried(Exception):
    """The mail's time passed while it waited its turn: nothing of it was written."""


class NoSmtpUtf8(Exception):
    """The mail needs SMTPUTF8 (RFC 6531) and the server does not offer it."""


@dataclass(slots=True, eq=False)
class _Job:
    """A mail that waits for its answer. fresh: its one stale connection is behind it."""

    mail: Mail
    until: float
    answer: asyncio.Future[Reply]
    fresh: bool = False
    connection: SmtpConnection | None = None

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class SmtpPool:
    """At most `limit` connections to a server, and the mails that wait for them."""

    def __init__(self, server: SmtpServer, *, limit: int) -> None:
        self._server = server
        self._limit = limit
        self._queue: deque[_Job] = deque()
        self._idle: list[SmtpConnection] = []
        self._driving = 0
        self._drivers: set[asyncio.Task[None]] = set()

    async def post(self, mail: Mail, *, timeout_s: float) -> Reply:
        """Sends a mail; returns the server's last word, which is a yes.

        Raises:
            SmtpRefused, SmtpLost: as SmtpConnection.deliver.
            NotTried: no connection came free in time.
            NoSmtpUtf8: the server cannot take such an address.
        """
        loop = asyncio.get_running_loop()
        job = _Job(mail, clock.monotonic() + timeout_s, loop.create_future())
        self._queue.append(job)
        if self._driving < self._limit:
            self._driving += 1
            driver = loop.create_task(self._drive())
            self._drivers.add(driver)
            driver.add_done_callback(self._drivers.discard)
        try:
            return await job.answer
        except asyncio.CancelledError:
            if job.connection is not None:
                job.connection.abort()  # half of this mail may stand there
            raise

    def close(self) -> None:
        """Says goodbye on the connections that wait; later mails open new ones."""
        while self._idle:
            self._idle.pop().close()

    async def _drive(self) -> None:
        """Serves what waits, on one connection at a time, until nothing waits any more."""
        try:
            while (job := self._next()) is not None:
                try:
                    await self._serve(job)
                except Exception as error:
                    job.fail(error)
        finally:
            self._driving -= 1  # at once: who comes now must find that nobody looks any more

    def _next(self) -> _Job | None:
        """The next mail that somebody still waits for."""
        while self._queue:
            job = self._queue.popleft()
            if job.answer.done():
                continue
            if job.until > clock.monotonic():
                return job
            job.fail(NotTried())
        return None

    async def _serve(self, job: _Job) -> None:
        """Sends a mail, and those that were sent ahead behind it on the same connection.

        A server may have closed a waiting connection (or says so now, by 421). As long as the
        content was not written, a fresh connection is tried once: nothing was sent.
        """
        connection = None if job.fresh else self._waiting_connection()
        kept = connection is not None
        if connection is None:
            left = job.until - clock.monotonic()
            connection = await connect(self._server, left * _CONNECT_SHARE)
        following: _Job | None = job
        while following is not None:
            job, following = following, None
            following, failure = await self._deliver(connection, job)
            if failure is not None:
                self._settle(job, failure, again=kept and not job.fresh)
            kept = True
            if following is not None and not connection.is_usable:
                self._queue.appendleft(following)  # only its envelope went, to nobody
                following.fresh, following = True, None
        self._keep(connection)

    async def _deliver(
        self, connection: SmtpConnection, job: _Job
    ) -> tuple[_Job | None, Exception | None]:
        """Sends one mail; returns the one whose envelope went ahead, and what went wrong."""
        ahead: list[_Job] = []

        def look_ahead() -> Mail | None:
            following = self._next()
            if following is None:
                return None
            if following.mail.smtputf8 and not connection.smtputf8:
                self._queue.appendleft(following)
                return None
            ahead.append(following)
            return following.mail

        job.connection = connection
        failure: Exception | None = None
        try:
            if job.answer.done():
                connection.abort()  # its envelope may stand open, and nobody wants it any more
            elif job.mail.smtputf8 and not connection.smtputf8:
                failure = NoSmtpUtf8()
            else:
                left = job.until - clock.monotonic()
                reply = await connection.deliver(job.mail, timeout_s=left, ahead=look_ahead)
                if not job.answer.done():
                    job.answer.set_result(reply)
        except (SmtpRefused, SmtpLost) as error:
            failure = error
        except BaseException as error:
            connection.abort()
            job.fail(SmtpLost("connection", written=True))
            for one in ahead:
                self._queue.appendleft(one)
            raise error
        job.connection = None
        return (ahead[0] if ahead else None), failure

    def _settle(self, job: _Job, failure: Exception, *, again: bool) -> None:
        """Tells what went wrong, or puts the mail back for a fresh connection."""
        lost = isinstance(failure, SmtpLost) and not failure.written and failure.code != "timeout"
        closed = (
            isinstance(failure, SmtpRefused)
            and failure.reply.code == _CLOSING
            and not failure.written
        )
        if again and (lost or closed):
            job.fresh = True
            self._queue.appendleft(job)
        else:
            job.fail(failure)

    def _waiting_connection(self) -> SmtpConnection | None:
        at = clock.monotonic()
        while self._idle:
            connection = self._idle.pop()  # the latest: the others may grow old and be let go
            if connection.is_usable and at - connection.idle_since < _IDLE_S:
                return connection
            connection.close()
        return None

    def _keep(self, connection: SmtpConnection) -> None:
        if connection.is_usable:
            connection.idle_since = clock.monotonic()
            self._idle.append(connection)
