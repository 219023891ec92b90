"""Chat and some hundred other services through Apprise; the address is an Apprise URL.

Apprise blocks, so that it runs in a bounded pool of threads. It tells what went wrong in its log
only, which quotes addresses: it is captured here and led to no handler (settings/logs.py). What
cannot be read there for certain is doubt.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import apprise

from notifications.delivery.accounts import account
from notifications.delivery.base import Capabilities, NotificationChannelProvider
from notifications.delivery.http_answers import status_meaning

_CALL_SHARE = 0.9
_CONNECT_SHARE = 1 / 3
_THREADS = 8
# Services that act on this machine, its network or its radio, whatever their URL says.
_LOCAL = frozenset({"windows", "macosx", "kde", "dbus", "qt", "gnome", "glib", "gio", "syslog"}) | {
    *("rsyslog", "growl", "blink1", "aprs", "dapnet")
}
_STATUS = re.compile(r"error=(\d{3})\b")
_NOT_WRITTEN = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|Connection refused|SSLError"
)
_TIMED_OUT = "timed out"


class AppriseChatProvider(NotificationChannelProvider):
    """Sends to one Apprise URL (`slack://...`, `discord://...`, `msteams://...`).

    Services at a vendor's own address may always be called; one whose URL names a host only if
    CARILLON_APPRISE_HOSTS names it too, and none that act on this machine.
    """

    key: ClassVar[str] = "apprise"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="chat", batch_size=1, concurrency=_THREADS
    )

    def __init__(self) -> None:
        given = account(self.key)
        self._timeout_s = given.call_seconds * _CALL_SHARE
        self._hosts = given.apprise_hosts
        self._any_host = given.webhook_allow_private
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="carillon-apprise")
        self._asset = apprise.AppriseAsset(
            app_id="Carillon", app_desc="Carillon", storage_mode=apprise.PersistentStoreMode.MEMORY
        )

    @classmethod
    def host_of(cls, recipient: str) -> str:
        """The service that a URL names by its scheme."""
        return recipient.partition("://")[0][:40].lower()

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether Apprise knows the service, and it may be called."""
        return await self._on_thread(self._plugin, recipient) is not None

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends the title and the body as plain text."""
        plugin = await self._on_thread(self._plugin, recipient)
        if plugin is None:
            return {
                "success": False,
                "error": "not a service that may be called",
                "error_code": "invalid_recipient",
                "recipient_dead": True,
            }
        title, body = str(message.get("title", "")), str(message.get("body", ""))
        try:
            # The library bounds each read, not the whole: a dripping server is bounded here.
            async with asyncio.timeout(self._timeout_s):
                words, took = await self._on_thread(self._notify, plugin, title, body)
        except TimeoutError:
            words, took = _TIMED_OUT, False
        if took:
            return {"success": True, "message_id": str(message.get("reference", ""))}
        return _meaning_of(words)

    async def _on_thread(self, call: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _plugin(self, url: str) -> apprise.NotifyBase | None:
        """The service that a URL means; None for an unknown or a forbidden one."""
        try:
            plugin = apprise.Apprise.instantiate(url, asset=self._asset, suppress_exceptions=True)
        except (TypeError, AttributeError, ValueError):
            return None
        if not isinstance(plugin, apprise.NotifyBase) or not self._may_call(plugin, url):
            return None
        plugin.redirects = False
        plugin.socket_connect_timeout = self._timeout_s * _CONNECT_SHARE
        plugin.socket_read_timeout = self._timeout_s * (1 - _CONNECT_SHARE)
        return plugin

    def _may_call(self, plugin: apprise.NotifyBase, url: str) -> bool:
        if url.partition("://")[0].lower() in _LOCAL:
            return False
        forms: tuple[str, ...] = plugin.templates
        if self._any_host or not any("{host" in form for form in forms):
            return True
        host = str(getattr(plugin, "host", "") or "").lower()
        return any(
            host == allowed.lower() or (allowed.startswith(".") and host.endswith(allowed.lower()))
            for allowed in self._hosts
        )

    def _notify(self, plugin: apprise.NotifyBase, title: str, body: str) -> tuple[str, bool]:
        """On a thread: what the log said, and whether the service took it."""
        sender = apprise.Apprise(asset=self._asset)
        sender.add(plugin)
        with sender.notify(
            body=body or title,
            title=title if body else "",
            body_format=apprise.NotifyFormat.TEXT,
            log_level=logging.DEBUG,
        ) as result:
            words = "\n".join(entry.message for entry in result.logs())
            return words, bool(result)


def _meaning_of(words: str) -> dict[str, Any]:
    """What Apprise's log means: a status it names, a connection that never was, else doubt."""
    named = _STATUS.search(words)
    kept = {"log": words[:2000]}
    if named:
        return {**status_meaning(int(named.group(1))), "provider_response": kept}
    written = not _NOT_WRITTEN.search(words)
    return {
        "success": False,
        "error": "Apprise could not send it" + (", or it did" if written else ""),
        "error_code": "timeout" if _TIMED_OUT in words else "connection",
        "retry": not written,
        "uncertain": written,
        "provider_response": kept,
    }
