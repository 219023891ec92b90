"""The named reports: by what each groups, and which counts and rates it shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from notifications.domain.learning.choice import LearningPlace
from notifications.domain.learning.labels import learning_label

_SENDING = ("sent", "delivered", "opened_human", "clicked_human", "converted")
_ENGAGEMENT = (
    "sent",
    "opened_human",
    "opened_machine",
    "opened_unknown",
    "clicked_human",
    "clicked_machine",
    "clicked_unknown",
    "converted",
)
_FAILURES = ("failed", "bounced", "uncertain", "suppressed", "expired", "cancelled", "digested")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """One report. All its rates are over the messages sent."""

    about: str
    #: What a row stands for; empty for the whole range.
    by: tuple[str, ...]
    counts: tuple[str, ...]
    #: The counts that are shown as rates, too.
    rates: tuple[str, ...]
    #: Whether there is a row for each interval of a series.
    in_series: bool = False
    #: Whether a row has the error codes of its failures. They are by provider, channel, template.
    has_codes: bool = False
    #: Only messages with one of these labels; empty for all.
    variants: tuple[str, ...] = ()


REPORTS: Mapping[str, ReportSpec] = {
    "funnel": ReportSpec(
        about="What became of all messages: from sent to converted, and what was not sent.",
        by=(),
        counts=(*_SENDING, *_FAILURES),
        rates=_SENDING,
    ),
    "channels": ReportSpec(
        about="Counts and rates of each channel.",
        by=("channel",),
        counts=(*_SENDING, "failed", "suppressed"),
        rates=_SENDING[1:],
    ),
    "templates": ReportSpec(
        about="Counts and rates of each template on each channel.",
        by=("template_id", "channel"),
        counts=(*_SENDING, "failed", "suppressed"),
        rates=_SENDING[1:],
    ),
    "providers": ReportSpec(
        about="Counts and rates of each provider on each channel.",
        by=("provider", "channel"),
        counts=("sent", "delivered", "failed", "bounced", "uncertain"),
        rates=("delivered", "bounced"),
    ),
    "failures": ReportSpec(
        about="What was not sent, or failed, by provider, channel and template; with error codes.",
        by=("provider", "channel", "template_id"),
        counts=("sent", *_FAILURES),
        rates=("failed", "bounced"),
        has_codes=True,
    ),
    "engagement": ReportSpec(
        about="Opens and clicks of people, machines and unknown readers, by template and channel.",
        by=("template_id", "channel"),
        counts=_ENGAGEMENT,
        rates=_ENGAGEMENT[1:],
    ),
    "reputation": ReportSpec(
        about="Bounces, complaints and unsubscriptions, by provider and channel.",
        by=("provider", "channel"),
        counts=("sent", "delivered", "bounced", "complained", "unsubscribed"),
        rates=("delivered", "bounced", "complained", "unsubscribed"),
    ),
    "cohort": ReportSpec(
        about="For each day, week or hour of sending: what became of the messages sent then.",
        by=("channel",),
        counts=_SENDING,
        rates=_SENDING[1:],
        in_series=True,
    ),
    "learning": ReportSpec(
        about="Single sends whose first channel is learned: those for whom the counts decided"
        " (`learn:send:-l`), the holdout (`-h`), and people of whom too little is known (`-s`).",
        by=("variant", "channel"),
        counts=_ENGAGEMENT,
        rates=_ENGAGEMENT[1:],
        variants=tuple(learning_label("send", None, place) or "" for place in LearningPlace),
    ),
}
