"""Types of fields that several requests and responses share, documented once.

The annotations describe: nothing here adds a check, since the description, examples and values of
a `Meta` are read by the OpenAPI document alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from directory.models.contact import ContactKind, ContactState
from directory.models.user import Role
from notifications.domain.campaigns.lifecycle import CampaignApproval
from notifications.domain.channels import PERSON_CHANNELS, PRIORITY_WORDS, Channel, Priority
from notifications.domain.error_codes import ERROR_CODES
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import Verdict


def choice(name: str, values: Iterable[str | int], about: str) -> Meta:
    """Returns the documentation of a field with fixed values.

    The OpenAPI document has the values once, as the schema `name`.
    """
    listed = [int(value) if isinstance(value, int) else str(value) for value in values]
    return Meta(
        title=name,
        description=about,
        examples=[next(value for value in listed if value != "")],
        extra_json_schema={"enum": listed},
    )


ApprovalState = Annotated[
    str,
    choice(
        "CampaignApproval",
        CampaignApproval,
        "Whether a second person released it. `none`: no approval was requested.",
    ),
]
ErrorCode = Annotated[
    str,
    choice(
        "ErrorCode",
        ERROR_CODES,
        "The stable code of an error. A later version may add codes: treat a code that you do not"
        " know by its HTTP status.",
    ),
]
ChannelName = Annotated[str, choice("Channel", Channel, "A channel.")]
PersonChannelName = Annotated[
    str,
    choice("PersonChannel", PERSON_CHANNELS, "A channel that a user can switch on and off."),
]
MessageState = Annotated[
    str,
    choice(
        "MessageStatus",
        MessageStatus,
        "The state of a message. A notification has the state of its most advanced message.",
    ),
]
VerdictName = Annotated[
    str,
    choice(
        "Verdict",
        Verdict,
        "What one provider call returned. `retry` and `failed`: the provider did not accept the"
        " message. `uncertain`: the provider may have accepted it.",
    ),
]
ExplainedState = Annotated[
    str,
    choice(
        "ExplainedStatus",
        (*MessageStatus, "refused"),
        "The state of a message, or `refused` when the request was refused and nothing was stored.",
    ),
]
WaitKind = Annotated[
    str,
    choice(
        "WaitKind",
        ("kill_switch", "breaker", "pause", "limit", "order", "time"),
        "What a message waits for: a kill switch, a circuit breaker, a pause that a provider asked"
        " for, a rate limit, an earlier message of its ordering key, or its time.",
    ),
]
ContactKindName = Annotated[
    str, choice("ContactKind", ContactKind.values, "The kind of address of a contact point.")
]
ContactStateName = Annotated[
    str, choice("ContactState", ContactState.values, "Whether a contact point can be used.")
]
RoleName = Annotated[str, choice("Role", Role.values, "The role of a user on your platform.")]
BreakerStateName = Annotated[
    str,
    choice(
        "BreakerState",
        ("closed", "open", "half_open"),
        "The state of a circuit breaker. `half_open`: one message may probe the service.",
    ),
]
JobKind = Annotated[
    str, choice("JobKind", ("bulk", "broadcast", "schedule"), "What started a job.")
]
DecisionName = Annotated[
    str,
    choice(
        "Decision",
        ("send", "defer", "digest", "suppress", "expire"),
        "What would be decided about a message.",
    ),
]
PriorityNumber = Annotated[
    int,
    choice("PriorityNumber", Priority, "1 is critical, 2 high, 3 medium and 4 low."),
]
PriorityWord = Annotated[
    str,
    choice("PriorityWord", PRIORITY_WORDS, "`urgent` means critical, and `normal` means medium."),
]

UserRef = Annotated[
    int | str,
    Meta(
        description="A user: Carillon's integer id, a UUID, or `ext:` and your `external_id`.",
        examples=["ext:p-7"],
    ),
]
UserRefOrNone = Annotated[
    int | str | None,
    Meta(
        description="The user: Carillon's integer id, a UUID, or `ext:` and your `external_id`."
        " Without it and `external_id` the caller is meant, where the caller is a user.",
        examples=["ext:p-7"],
    ),
]
ExternalIdOrNone = Annotated[
    str | None,
    Meta(
        description="The user by your platform's id alone, of 1 to 100 characters."
        " Give `user_id` or `external_id`, not both.",
        examples=["p-7"],
    ),
]
UserId = Annotated[int, Meta(description="The user's integer id.", examples=[42])]
TemplatePath = Annotated[
    str,
    Meta(description="The path of a template.", examples=["user.payment.success"]),
]
TemplatePathOrNone = Annotated[
    str | None,
    Meta(
        description="The path of its template; null when it has none.",
        examples=["user.payment.success"],
    ),
]
UserIdOrNone = Annotated[
    int | None,
    Meta(
        description="The user's integer id; null for an address and for an erased user.",
        examples=[42],
    ),
]
IsRead = Annotated[bool, Meta(description="Whether the user read it in the inbox.")]
CategoryKey = Annotated[str, Meta(description="The key of a category.", examples=["payment"])]
LocaleName = Annotated[
    str, Meta(description="A locale: a language, and a region or script.", examples=["pt_BR"])
]
ZoneName = Annotated[
    str, Meta(description="The name of an IANA time zone.", examples=["Europe/Paris"])
]
ProviderKey = Annotated[
    str, Meta(description="The key of a provider; empty for none.", examples=["twilio"])
]
Warnings = Annotated[
    list[str],
    Meta(
        description="What the request contained that has no effect, one sentence each.",
        examples=[["context.user is ignored: Carillon fills it in from the directory"]],
    ),
]
Counts = Annotated[
    dict[str, int],
    Meta(
        description="The number of messages in each state; a state without messages is left out.",
        examples=[{"pending": 3, "delivered": 40}],
    ),
]

NotificationId = Annotated[UUID, Meta(description="The id of the notification.")]
JobId = Annotated[UUID, Meta(description="The id of the job, by which its progress is read.")]
AcceptedAt = Annotated[datetime, Meta(description="When it was accepted (RFC 3339).")]
DueAt = Annotated[datetime, Meta(description="When it is to be sent, or was (RFC 3339).")]
ExpiresAt = Annotated[
    datetime | None,
    Meta(description="When an unsent message of it expires (RFC 3339); null for never."),
]
SentAt = Annotated[datetime | None, Meta(description="When it was sent (RFC 3339), or null.")]
LastError = Annotated[
    str | None,
    Meta(description="The last error of a provider, or null.", examples=["connection refused"]),
]

NextPage = Annotated[
    str | None,
    Meta(
        description="The URL of the next page; null on the last page.",
        examples=["https://carillon.example.com/api/v1/notifications?cursor=NDI"],
    ),
]
PreviousPage = Annotated[
    str | None,
    Meta(
        description="The URL of the page before; null on the first page.",
        examples=["https://carillon.example.com/api/v1/notifications"],
    ),
]
NextNumber = Annotated[
    int | None,
    Meta(description="The number of the next page; null on the last page.", examples=[3]),
]
PreviousNumber = Annotated[
    int | None,
    Meta(description="The number of the page before; null on the first page.", examples=[1]),
]

Link = Annotated[
    str | None,
    Meta(
        description="The http or https URL that a click opens, at most 2,000 characters.",
        examples=["https://example.com/orders/7"],
    ),
]
Image = Annotated[
    str | None,
    Meta(
        description="The https URL of a picture, at most 2,000 characters.",
        examples=["https://example.com/order.png"],
    ),
]
Icon = Annotated[
    str | None,
    Meta(
        description="The https URL of a small icon, at most 2,000 characters.",
        examples=["https://example.com/icon.png"],
    ),
]
Sound = Annotated[
    str | None,
    Meta(
        description="The file name of the sound that a device plays, or `default`.",
        examples=["chime.caf"],
    ),
]
Badge = Annotated[
    int | None,
    Meta(description="The number on the app's icon, from 0 to 99,999.", examples=[3]),
]
CHANNEL_CHOICES = ("given", "learned")
ChannelChoiceName = Annotated[
    str,
    choice(
        "ChannelChoice",
        CHANNEL_CHOICES,
        "`learned`: the channel on which a user engages most is tried first, and the others follow."
        " `given`: the channels are tried in their order.",
    ),
]
