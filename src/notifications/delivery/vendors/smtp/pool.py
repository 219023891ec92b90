"""Mails waiting for a few connections to one SMTP server, each sending mail after mail.

A mail that waits when another's content is written goes with its envelope into the same write;
where the server offers CHUNKING, several whole mails do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from notifications.delivery.mail.mime import Mail
from notifications.delivery.vendors.smtp.replies import CLOSING, SmtpLost, SmtpRefused, SmtpReply
from notifications.delivery.vendors.smtp.wire import SmtpConnection, SmtpServer, connect
from notifications.infra import clock

_CONNECT_SHARE = 0.3  # of the time that a mail has
_START_SHARE = 0.5  # of a mail's time: with less left it is not begun, for it might not end
_GROUP_SHARE = 0.1  # of a mail's time: what a whole group may take at the server's usual pace
_GROUP = 5  # mails in one write at most: so many are in doubt when a connection breaks
_TRUSTED_S = 1.0  # longer unused, a connection must answer an envelope before it gets contents
_IDLE_S = 60.0  # servers and firewalls forget connections; a new one costs less than a lost mail


class NotAttempted(Exception):
    """The mail's time passed while it waited its turn: nothing of it was written."""


class NoSmtpUtf8(Exception):
    """The mail needs SMTPUTF8 (RFC 6531) and the server does not offer it."""


@dataclass(slots=True, eq=False)
class _Job:
    """A mail that waits for its answer. fresh: its one stale connection is behind it."""

    mail: Mail
    until: float
    begin_by: float
    answer: asyncio.Future[SmtpReply]
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
        self._pace_s = 0.0  # of one mail, lately; 0 before the first
        self._drivers: set[asyncio.Task[None]] = set()

    async def post(self, mails: Sequence[Mail], *, timeout_s: float) -> list[SmtpReply | Exception]:
        """Sends mails; for each the server's last word if that is a yes, or why there is none.

        The reasons are SmtpRefused and SmtpLost as in SmtpConnection.deliver, NotAttempted when
        no connection came free in time, and NoSmtpUtf8.
        """
        loop = asyncio.get_running_loop()
        now = clock.monotonic()
        until, begin_by = now + timeout_s, now + timeout_s * _START_SHARE
        jobs = [_Job(mail, until, begin_by, loop.create_future()) for mail in mails]
        self._queue.extend(jobs)
        for _ in range(min(len(jobs), self._limit - self._driving)):
            self._driving += 1
            driver = loop.create_task(self._drive())
            self._drivers.add(driver)
            driver.add_done_callback(self._drivers.discard)
        try:
            return [await self._answer(job) for job in jobs]
        except asyncio.CancelledError:
            for job in jobs:
                job.answer.cancel()
                if job.connection is not None:
                    job.connection.abort()  # half of this mail may stand there
            raise

    @staticmethod
    async def _answer(job: _Job) -> SmtpReply | Exception:
        try:
            return await job.answer
        except Exception as error:
            return error

    def group_size(self, timeout_s: float) -> int:
        """How many mails may stand in one write: one until the server's pace is known, and for a
        server so slow that the last of a group might not be answered in time."""
        if not self._pace_s:
            return 1
        return max(1, min(_GROUP, int(timeout_s * _GROUP_SHARE / self._pace_s)))

    def _paced(self, began: float, mails: int) -> None:
        took_s = (clock.monotonic() - began) / mails
        self._pace_s = took_s if not self._pace_s else 0.8 * self._pace_s + 0.2 * took_s

    async def reach(self, *, timeout_s: float) -> bool:
        """Opens a connection, as for a mail, and keeps it; answers whether it takes SMTPUTF8.

        Raises:
            SmtpLost: the server does not let us in.
        """
        connection = await connect(self._server, timeout_s)
        self._keep(connection)
        return connection.smtputf8

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
            if job.begin_by > clock.monotonic():
                return job
            job.fail(NotAttempted())
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
        companions = self._companions(connection, job, kept=kept)
        if companions:
            await self._deliver_group(connection, [job, *companions], again=kept)
            self._keep(connection)
            return
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

    def _companions(self, connection: SmtpConnection, first: _Job, *, kept: bool) -> list[_Job]:
        """The mails that leave in one write with this one, of those that wait.

        A mail that is alone sends its envelope first: a connection that broke unnoticed costs
        nothing then, as no content was written.
        """
        if not connection.takes_groups or (first.mail.smtputf8 and not connection.smtputf8):
            return []
        if kept and clock.monotonic() - connection.idle_since > _TRUSTED_S:
            return []
        most = self.group_size(first.until - clock.monotonic())
        found: list[_Job] = []
        while len(found) < most - 1 and (job := self._next()) is not None:
            if job.mail.smtputf8 and not connection.smtputf8:
                self._queue.appendleft(job)
                break
            found.append(job)
        return found

    async def _deliver_group(
        self, connection: SmtpConnection, jobs: Sequence[_Job], *, again: bool
    ) -> None:
        """Sends mails in one write and settles each."""
        for job in jobs:
            job.connection = connection
        began = clock.monotonic()
        left = min(job.until for job in jobs) - began
        try:
            told = await connection.deliver_group([job.mail for job in jobs], timeout_s=left)
        except BaseException:
            connection.abort()
            for job in jobs:
                job.fail(SmtpLost("connection", written=True))
            raise
        self._paced(began, len(jobs))
        for job, result in zip(reversed(jobs), reversed(told), strict=True):
            job.connection = None
            if isinstance(result, Exception):
                self._settle(job, result, again=again and not job.fresh)
            elif not job.answer.done():
                job.answer.set_result(result)

    async def _deliver(
        self, connection: SmtpConnection, job: _Job
    ) -> tuple[_Job | None, Exception | None]:
        """Sends one mail; returns the one whose envelope went ahead, and what went wrong."""
        ahead: list[_Job] = []

        def look_ahead() -> Mail | None:
            following = self._next() if not connection.takes_groups else None
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
                began = clock.monotonic()
                left = job.until - began
                reply = await connection.deliver(job.mail, timeout_s=left, ahead=look_ahead)
                self._paced(began, 1)
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
            and failure.reply.code == CLOSING
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
