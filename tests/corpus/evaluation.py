"""Runs the classifier over simulated mails, and counts what it says of each request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from notifications.domain.engagement import EventKind
from notifications.domain.tracking.classifier import classify
from notifications.domain.tracking.evidence import TrackingEvidence, reduced, stored_headers
from tests.corpus.generator import requests_of
from tests.corpus.model import Family, Mail, Request, Simulated

MAILS = (
    Mail(links=1, marketing=False),
    Mail(links=3),
    Mail(links=8),
    Mail(links=6, marketing=False),
)
SENT_AT = 1_900_000_000.0
_KINDS = {"pixel": EventKind.OPEN, "link": EventKind.CLICK, "honeypot": EventKind.HONEYPOT}


@dataclass
class Tally:
    """Verdicts by the true cause: `clicks["human", "machine"]` were people's, called machines'."""

    clicks: Counter[tuple[str, str]] = field(default_factory=Counter)
    opens: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def share(self, cause: str, verdict: str, *, of_opens: bool = False) -> float:
        """The part of the requests with this cause that got this verdict; 0 without any."""
        counts = self.opens if of_opens else self.clicks
        total = sum(count for (each, _), count in counts.items() if each == cause)
        return counts[cause, verdict] / total if total else 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.clicks + other.clicks, self.opens + other.opens, self.reasons + other.reasons
        )


def evidence_of(request: Request) -> TrackingEvidence:
    """Returns what the service would store of a request."""
    headers: dict[str, str] = {name.lower(): value for name, value in request.headers}
    return TrackingEvidence(
        kind=_KINDS[request.target],
        at=SENT_AT + request.offset_s,
        link=request.link,
        method=request.method,
        agent=headers.get("user-agent", ""),
        network=reduced(request.address),
        headers=stored_headers(headers),
    )


def tally_of(family: Family, seeds: Iterable[int], mails: Sequence[Mail] = MAILS) -> Tally:
    """Classifies the mails of a family, each with all its requests."""
    found = Tally()
    for mail, simulated in _mails_of(family, seeds, mails):
        judged = classify(
            [evidence_of(each.request) for each in simulated],
            sent_at=SENT_AT,
            has_trap=mail.marketing,
        )
        for each, verdict in zip(simulated, judged, strict=True):
            key = (each.cause, str(verdict.actor))
            if each.request.target == "link":
                found.clicks[key] += 1
                found.reasons[(*key, verdict.reason)] += 1
            elif each.request.target == "pixel":
                found.opens[key] += 1
    return found


def _mails_of(
    family: Family, seeds: Iterable[int], mails: Sequence[Mail]
) -> Iterator[tuple[Mail, list[Simulated]]]:
    for seed in seeds:
        for mail in mails:
            yield mail, list(requests_of(family, seed, mail))


def figures(tallies: Mapping[str, Tally]) -> Tally:
    """Returns the sum over families, each with the same weight in numbers of mails."""
    total = Tally()
    for each in tallies.values():
        total += each
    return total
