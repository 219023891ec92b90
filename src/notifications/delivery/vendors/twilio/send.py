"""SMS through Twilio's Messages resource.

Request, responses and codes: twilio.com/docs/messaging/api/message-resource and
twilio.com/docs/api/errors. Tests compare the request with Twilio's OpenAPI document.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import (
    Capabilities,
    NotificationChannelProvider,
    StatusQuery,
    with_our_names,
)
from notifications.delivery.callback_urls import callback_url
from notifications.delivery.http_responses import (
    accepted,
    call_failed,
    json_of,
    not_configured,
    refused,
    unclear,
)
from notifications.delivery.vendors.twilio.faults import kind_of, meaning_of
from notifications.delivery.vendors.twilio.settings import Settings
from notifications.domain import sms
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import HttpClient, HttpFault, Response
from notifications.infra.phone_numbers import is_possible

_CALL_SHARE = 0.9
_PAGE = 50
_LONGEST_TEXT = 1600  # a longer one is Twilio's error 21617
_LONGEST_VALIDITY_S = 36_000  # ValidityPeriod: 1 to 36,000 s (14,400 before 2024)


class TwilioSMSProvider(NotificationChannelProvider):
    """Passes one text message to Twilio, which sends its status to a URL that we signed.

    Wrong numbers and numbers that sent STOP (21610) are dead. A refused account or sender is a
    wrong setting of ours: RETRY with the code `auth`. Twilio has no idempotency for messages.
    """

    key: ClassVar[str] = "twilio"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="sms", batch_size=1, concurrency=20, rate="1/s", receipts=True, status_queries=True
    )

    needs: ClassVar[tuple[str, ...]] = Settings.needs

    def __init__(self, account_sid: str = "", auth_token: str = "", from_number: str = "") -> None:
        """Without arguments it uses the account of the settings."""
        given = settings_of(Settings)
        self._sid = account_sid or given.twilio_account_sid
        self._token = auth_token or given.twilio_auth_token
        self._from = from_number or given.twilio_from
        self._service = "" if from_number else given.twilio_messaging_service
        self._base = given.twilio_base_url
        self._client = HttpClient(
            timeout_s=environment().provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
        )

    async def close(self) -> None:
        await self._client.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this is a possible number in E.164 form."""
        return is_possible(recipient)

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends `title`, a line break and `body`."""
        message = with_our_names(message)
        now = clock.now()
        if not (self._sid and self._token and (self._from or self._service)):
            return not_configured(
                "set CARILLON_TWILIO_ACCOUNT_SID, _AUTH_TOKEN, and _FROM or _MESSAGING_SERVICE"
            )
        form = self._form(recipient, message, now.timestamp())
        if len(form["Body"]) > _LONGEST_TEXT:
            text = f"Twilio accepts at most {_LONGEST_TEXT} characters"
            return {"success": False, "error": text, "error_code": "text_too_long"}
        try:
            response = await self._call(
                "POST", f"/2010-04-01/Accounts/{self._sid}/Messages.json", urlencode(form).encode()
            )
        except HttpFault as fault:
            return call_failed(fault)
        return _outcome(response, now)

    async def examine(self) -> str:
        """Checks the account by a request for it."""
        try:
            response = await self._call("GET", f"/2010-04-01/Accounts/{self._sid}.json", b"")
        except HttpFault as fault:
            return fault.detail
        status = json_of(response).get("status")
        if response.status != 200:
            return f"Twilio responds HTTP {response.status}: check the account and the token"
        return "" if status == "active" else f"the account is {status}"

    async def query_status(self, query: StatusQuery) -> list[Receipt] | None:
        """Requests a message by its sid; without one, our messages to this number in that time.

        Only the newest fifty messages are read. Twilio does not return our callback URL, so our
        reference is not in its response.
        """
        path = f"/2010-04-01/Accounts/{self._sid}/Messages"
        name = query.provider_message_id
        parameters = urlencode({"To": query.recipient, "PageSize": _PAGE})
        tail = f"/{name}.json" if name else f".json?{parameters}"
        try:
            response = await self._call("GET", f"{path}{tail}", b"")
        except HttpFault:
            return None
        found = json_of(response)
        if response.status != 200 or not found:
            return None
        listed = [found] if name else found.get("messages")
        rows = [row for row in listed or () if isinstance(row, dict)]
        return [_receipt_of(row) for row in rows if name or self._matches(row, query)]

    def _matches(self, row: Mapping[str, Any], query: StatusQuery) -> bool:
        try:
            made_s = parsedate_to_datetime(str(row.get("date_created"))).timestamp()
        except ValueError:
            return False
        if self._service:
            ours = row.get("messaging_service_sid") == self._service
        else:
            ours = row.get("from") == (query.sender or self._from)
        in_time = query.since_s <= made_s <= query.until_s
        return ours and in_time and row.get("direction") == "outbound-api"

    async def _call(self, method: str, path: str, body: bytes) -> Response:
        login = base64.b64encode(f"{self._sid}:{self._token}".encode()).decode()
        headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        return await self._client.request(method, self._base + path, headers=headers, body=body)

    def _form(self, recipient: str, message: Mapping[str, Any], now_s: float) -> dict[str, str]:
        form = {"To": recipient, "Body": text_of(message)}
        if self._service:
            form["MessagingServiceSid"] = self._service
        else:
            form["From"] = message.get("sender") or self._from
        url = callback_url(self.key, str(message.get("reference", "")))
        if url:
            form["StatusCallback"] = url
        ends_at_s = message.get("expires_at_s")
        if ends_at_s is not None:
            left_s = min(max(int(ends_at_s - now_s), 1), _LONGEST_VALIDITY_S)
            form["ValidityPeriod"] = str(left_s)
        return form


def text_of(message: Mapping[str, Any]) -> str:
    """Returns the text of an SMS: the title, if any, on its own line, then the body."""
    return sms.text_of(str(message.get("title") or ""), str(message.get("body") or ""))


def _receipt_of(row: Mapping[str, Any]) -> Receipt:
    """Returns the receipt of a Message resource; SENT for one that is in flight at Twilio."""
    code = row.get("error_code")
    named = str(code) if isinstance(code, int) else ""
    return Receipt(
        kind_of(str(row.get("status")), named) or ReceiptKind.SENT,
        provider_message_id=str(row.get("sid", "")),
        address=str(row.get("to", "")),
        code=f"twilio_{named}" if named else "",
        detail=f"Twilio error {named}" if named else "",
    )


def _outcome(response: Response, now: Any) -> dict[str, Any]:
    found = json_of(response)
    if response.status not in (200, 201):
        return refused(response, now, **meaning_of(response.status, found.get("code")))
    sid = found.get("sid")
    if not isinstance(sid, str) or not sid:
        return unclear(response, f"HTTP {response.status} without a sid: not Twilio, or cut off")
    code = found.get("error_code")
    if found.get("status") in ("failed", "undelivered") and code:
        return refused(response, now, **meaning_of(400, code))
    return accepted(sid, response)
