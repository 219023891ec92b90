"""The meaning of SES's exceptions and of the statuses of bulk entries.

docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
"""

from __future__ import annotations

from typing import Any

from notifications.delivery.http_responses import json_of
from notifications.infra.http.client import Response

# The account or a setting is wrong. A person corrects it, so the messages are retried, not failed.
ACCOUNT = frozenset(
    {
        "AccountSuspendedException",
        "SendingPausedException",
        "MailFromDomainNotVerifiedException",
        "NotFoundException",
        "ACCOUNT_SUSPENDED",
        "ACCOUNT_SENDING_PAUSED",
        "CONFIGURATION_SET_SENDING_PAUSED",
        "CONFIGURATION_SET_NOT_FOUND",
        "MAIL_FROM_DOMAIN_NOT_VERIFIED",
        "INVALID_SENDING_POOL_NAME",
    }
)
LATER = frozenset(
    {
        "LimitExceededException",
        "TooManyRequestsException",
        "ACCOUNT_THROTTLED",
        "ACCOUNT_DAILY_QUOTA_EXCEEDED",
        "TRANSIENT_FAILURE",
        "FAILED",
    }
)


def meaning_of(response: Response) -> dict[str, Any]:
    """Returns what SES's exception, named in a header, adds to the outcome of a refusal."""
    name = response.headers.get("x-amzn-ErrorType", "").partition(":")[0]
    name = name or str(json_of(response).get("__type", "")).rpartition("#")[2]
    more: dict[str, Any] = {"error": f"HTTP {response.status} {name}".rstrip()}
    if name in ACCOUNT or response.status in (401, 403):
        more |= {"error_code": "auth", "retry": True}
    elif name in LATER:
        more |= {"retry": True}
    elif name == "MessageRejected":
        more |= {"error_code": "ses_message_rejected"}
    return more
