"""A pool of connections to one SMTP server, each of which sends one queued mail after another.

The write with one mail's content also carries the envelope of the next queued mail. If the server
offers CHUNKING, one write carries several whole mails.
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
_START_SHARE = 0.5  # of a mail's time: with less left it is not started, because it might not end
_GROUP_SHARE = 0.1  # of a mail's time: the limit of a whole group at the server's usual pace
_GROUP = 5  # the most mails in one write: so many are uncertain if a connection breaks
_TRUSTED_S = 1.0  # after a longer idle time, a connection must accept an envelope before a content
_IDLE_S = 60.0  # servers and firewalls drop idle connections; a new one costs less than a lost mail


class NotAttempted(Exception):
    """The mail's time ended while it was queued: nothing of it was written."""


class NoSmtpUtf8(Exception):
    """The mail needs SMTPUTF8 (RFC 6531) and the server does not offer it."""


@dataclass(slots=True, eq=False)
class _Job:
    """A mail that waits for its reply."""

    mail: Mail
    #: The monotonic time at which its call times out.
    until: float
    #: The monotonic time until which it may start.
    start_by: float
    reply: asyncio.Future[SmtpReply]
    #: It has already met a stale connection and needs a new one.
    fresh: bool = False
    connection: SmtpConnection | None = None

    def fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


class SmtpPool:
    """At most `limit` connections to a server, and the mails that are queued for them."""

    def __init__(self, server: SmtpServer, *, limit: int) -> None:
        self._server = server
        self._limit = limit
        self._queue: deque[_Job] = deque()
        self._idle: list[SmtpConnection] = []
        self._driving = 0
        self._pace_s = 0.0  # of one mail, as a moving average; 0 before the first
        self._drivers: set[asyncio.Task[None]] = set()

    async def send(self, mails: Sequence[Mail], *, timeout_s: float) -> list[SmtpReply | Exception]:
        """Sends mails; returns for each the server's final positive reply, or an exception.

        The exceptions are SmtpRefused and SmtpLost as in SmtpConnection.deliver, NotAttempted if no
        connection was free in time, and NoSmtpUtf8.
        """
        loop = asyncio.get_running_loop()
        now = clock.monotonic()
        until, start_by = now + timeout_s, now + timeout_s * _START_SHARE
        jobs = [_Job(mail, until, start_by, loop.create_future()) for mail in mails]
        self._queue.extend(jobs)
        for _ in range(min(len(jobs), self._limit - self._driving)):
            self._driving += 1
            driver = loop.create_task(self._drive())
            self._drivers.add(driver)
            driver.add_done_callback(self._drivers.discard)
        try:
            return [await self._wait_reply(job) for job in jobs]
        except asyncio.CancelledError:
            for job in jobs:
                job.reply.cancel()
                if job.connection is not None:
                    job.connection.abort()  # it may contain half of this mail
            raise

    @staticmethod
    async def _wait_reply(job: _Job) -> SmtpReply | Exception:
        try:
            return await job.reply
        except Exception as error:
            return error

    def group_size(self, timeout_s: float) -> int:
        """Returns how many mails one write may carry.

        One until the server's pace is known, and for a server so slow that the last mail of a group
        might get no reply in time.
        """
        if not self._pace_s:
            return 1
        return max(1, min(_GROUP, int(timeout_s * _GROUP_SHARE / self._pace_s)))

    def _update_pace(self, began: float, mails: int) -> None:
        took_s = (clock.monotonic() - began) / mails
        self._pace_s = took_s if not self._pace_s else 0.8 * self._pace_s + 0.2 * took_s

    async def check(self, *, timeout_s: float) -> bool:
        """Opens a connection as for a mail and returns it to the pool.

        Returns:
            Whether the server offers SMTPUTF8.

        Raises:
            SmtpLost: the connection, the encryption or the login failed.
        """
        connection = await connect(self._server, timeout_s)
        self._return(connection)
        return connection.smtputf8

    def close(self) -> None:
        """Closes the idle connections with QUIT; later mails open new ones."""
        while self._idle:
            self._idle.pop().close()

    async def _drive(self) -> None:
        """Sends queued mails, on one connection at a time, until the queue is empty."""
        try:
            while (job := self._next()) is not None:
                try:
                    await self._send_job(job)
                except Exception as error:
                    job.fail(error)
        finally:
            self._driving -= 1  # without an await: a mail queued now must start a driver

    def _next(self) -> _Job | None:
        """Returns the next queued mail whose caller still waits."""
        while self._queue:
            job = self._queue.popleft()
            if job.reply.done():
                continue
            if job.start_by > clock.monotonic():
                return job
            job.fail(NotAttempted())
        return None

    async def _send_job(self, job: _Job) -> None:
        """Sends a mail, and those whose envelopes were sent ahead on the same connection.

        A server may have closed an idle connection (or reports it now, by 421). If the content was
        not written, nothing was sent, and the mail is retried once on a new connection.
        """
        connection = None if job.fresh else self._idle_connection()
        reused = connection is not None
        if connection is None:
            left = job.until - clock.monotonic()
            connection = await connect(self._server, left * _CONNECT_SHARE)
        companions = self._companions(connection, job, reused=reused)
        if companions:
            await self._deliver_group(connection, [job, *companions], again=reused)
            self._return(connection)
            return
        following: _Job | None = job
        while following is not None:
            job, following = following, None
            following, failure = await self._deliver(connection, job)
            if failure is not None:
                self._fail_or_retry(job, failure, again=reused and not job.fresh)
            reused = True
            if following is not None and not connection.is_usable:
                self._queue.appendleft(following)  # only its envelope was written
                following.fresh, following = True, None
        self._return(connection)

    def _companions(self, connection: SmtpConnection, first: _Job, *, reused: bool) -> list[_Job]:
        """Returns the queued mails that go into the same write as this one.

        A single mail sends its envelope first. If the connection broke unnoticed, nothing is lost
        then, because no content was written.
        """
        if not connection.takes_groups or (first.mail.smtputf8 and not connection.smtputf8):
            return []
        if reused and clock.monotonic() - connection.idle_since > _TRUSTED_S:
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
        """Sends mails in one write and resolves each."""
        for job in jobs:
            job.connection = connection
        began = clock.monotonic()
        left = min(job.until for job in jobs) - began
        try:
            results = await connection.deliver_group([job.mail for job in jobs], timeout_s=left)
        except BaseException:
            connection.abort()
            for job in jobs:
                job.fail(SmtpLost("connection", written=True))
            raise
        self._update_pace(began, len(jobs))
        for job, result in zip(reversed(jobs), reversed(results), strict=True):
            job.connection = None
            if isinstance(result, Exception):
                self._fail_or_retry(job, result, again=again and not job.fresh)
            elif not job.reply.done():
                job.reply.set_result(result)

    async def _deliver(
        self, connection: SmtpConnection, job: _Job
    ) -> tuple[_Job | None, Exception | None]:
        """Sends one mail; returns the mail whose envelope was sent ahead, and the failure."""
        ahead: list[_Job] = []

        def next_mail() -> Mail | None:
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
            if job.reply.done():
                connection.abort()  # its envelope may be open, and its caller no longer waits
            elif job.mail.smtputf8 and not connection.smtputf8:
                failure = NoSmtpUtf8()
            else:
                began = clock.monotonic()
                left = job.until - began
                reply = await connection.deliver(job.mail, timeout_s=left, ahead=next_mail)
                self._update_pace(began, 1)
                if not job.reply.done():
                    job.reply.set_result(reply)
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

    def _fail_or_retry(self, job: _Job, failure: Exception, *, again: bool) -> None:
        """Fails a mail, or returns it to the queue for a new connection."""
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

    def _idle_connection(self) -> SmtpConnection | None:
        at = clock.monotonic()
        while self._idle:
            connection = self._idle.pop()  # the last one used: the others may expire
            if connection.is_usable and at - connection.idle_since < _IDLE_S:
                return connection
            connection.close()
        return None

    def _return(self, connection: SmtpConnection) -> None:
        if connection.is_usable:
            connection.idle_since = clock.monotonic()
            self._idle.append(connection)
