"""The form of the corpus: what a behaviour family is made of, and what a simulated request says.

A range is a pair (low, high) whose ends are both possible. Units are in the name: `_s` is seconds,
`_share` is a part of 1. Every field that no source backs is an assumption (`Family.assumed`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Range = tuple[float, float]
Whole = tuple[int, int]
Cause = Literal["human", "machine"]
Kind = Literal["human", "machine", "mixed"]
Likeness = Literal[
    "gateway",
    "sandbox",
    "image proxy",
    "link preview",
    "program",
    "crawler",
    "person",
    "person in a hurry",
    "person behind a machine",
]
Order = Literal["mail", "reversed", "shuffled"]
Picks = Literal["any", "first", "last"]
Spread = Literal["even", "log"]
Target = Literal["pixel", "link", "honeypot"]
Reach = Literal["published", "data-centre", "home", "mobile", "office", "anonymous"]
Headers = tuple[tuple[str, str], ...]

NEVER: Range = (0.0, 0.0)
ALWAYS: Range = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Source:
    """A published text, and which fields of the family it backs.

    `backs` names fields as `visit.field` or `visit.companion.field`: those whose value, or whose
    bounds, the text states. A text that says only "seconds" backs no range. `says` is the text's
    claim in our words.
    """

    title: str
    address: str
    says: str
    backs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """Where requests come from. `reach` other than "published" uses addresses of documentation.

    `blocks` are CIDR blocks. A published network names who publishes them in `published_at`;
    the others are blocks of RFC 5737 and RFC 3849, which belong to no real network.
    """

    name: str
    reach: Reach
    blocks: tuple[str, ...]
    published_at: str | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A program that sends requests: its user agent, and its other headers for pages and images."""

    name: str
    user_agent: str | None
    page: Headers = ()
    image: Headers = ()


@dataclass(frozen=True, slots=True)
class Share:
    """How many links a visit fetches, as a part of the mail's links; at least one."""

    part_share: Range


@dataclass(frozen=True, slots=True)
class Count:
    """How many links a visit fetches, as a number; at most all of the mail's links."""

    number: Whole


@dataclass(frozen=True, slots=True)
class Companion:
    """A further request for a link that a visit fetches: a check before it, or one after it.

    `chance_share` is the probability for each fetched link. `offset_s` is relative to the visit's
    own request; negative is before it. `head_share` is the part of requests with HEAD, not GET.
    `same_address` and `same_client` mean those of the visit.
    """

    name: str
    cause: Cause
    clients: tuple[Client, ...]
    networks: tuple[Network, ...]
    chance_share: Range
    offset_s: Range
    head_share: Range = NEVER
    same_address: bool = False
    same_client: bool = False
    spread: Spread = "even"


@dataclass(frozen=True, slots=True)
class Visit:
    """One round of requests about a mail by one program or person.

    The visit begins `starts_s` after the delivery receipt, or after the beginning of the visit
    named by `after`. The pixel, if any, is fetched at the beginning. The links, which `picks`
    chooses among the mail's, follow `reading_s` later, in groups of `parallel`, with `gap_s`
    between the groups. `repeats` further rounds follow, each `repeat_after_s` after the one
    before, over the same links. `same_address` means the address of the visit named by `after`.
    `honeypot_share` is the probability that the hidden link is among the links; `head_share` that
    a link is fetched by HEAD alone; `head_first_share` that HEAD comes before a GET.
    """

    name: str
    cause: Cause
    clients: tuple[Client, ...]
    networks: tuple[Network, ...]
    starts_s: Range
    after: str | None = None
    spread: Spread = "even"
    chance_share: Range = ALWAYS
    pixel_share: Range = NEVER
    links: Share | Count = Count((0, 0))
    reading_s: Range = (0.0, 0.0)
    picks: Picks = "any"
    order: Order = "mail"
    parallel: Whole = (1, 1)
    gap_s: Range = (0.0, 0.0)
    head_share: Range = NEVER
    head_first_share: Range = NEVER
    honeypot_share: Range = NEVER
    repeats: Whole = (0, 0)
    repeat_after_s: Range = (0.0, 0.0)
    address_per_request: bool = False
    same_address: bool = False
    companions: tuple[Companion, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """One behaviour: its visits, and the published texts that they are taken from.

    `known_miss_possible` is the source's own statement that the behaviour resembles a person's;
    such a family is reported apart from the others.
    """

    name: str
    title: str
    kind: Kind
    likeness: Likeness
    sources: tuple[Source, ...]
    visits: tuple[Visit, ...]
    known_miss_possible: str | None = None

    @property
    def backed(self) -> frozenset[str]:
        """The fields that a source backs."""
        return frozenset(name for source in self.sources for name in source.backs)

    @property
    def assumed(self) -> tuple[str, ...]:
        """The fields that differ from their default and that no source backs, in order."""
        return tuple(name for name in self.stated if name not in self.backed)

    @property
    def stated(self) -> tuple[str, ...]:
        """The fields that this family sets, as `visit.field` or `visit.companion.field`."""
        names = []
        for visit in self.visits:
            names += [f"{visit.name}.{name}" for name in _set_in(visit)]
            for each in visit.companions:
                names += [f"{visit.name}.{each.name}.{name}" for name in _set_in(each)]
        return tuple(names)


def _set_in(part: Visit | Companion) -> list[str]:
    """Returns the names of the fields of a part that are not at their default."""
    apart = {"name", "cause", "companions"}
    return [
        field.name
        for field in fields(part)
        if field.name not in apart and getattr(part, field.name) != field.default
    ]


@dataclass(frozen=True, slots=True)
class Mail:
    """What is in a mail to one person: its tracked links, its pixel, its hidden link.

    Links are numbered from 1 in the mail's order. The hidden link, which only marketing mails
    have, stands after link `honeypot_after`.
    """

    links: int
    pixel: bool = True
    marketing: bool = True
    honeypot_after: int = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a tracker sees of a request. `offset_s` is seconds after the delivery receipt.

    `link` is the link's number for the target "link", else None. A negative offset is a request
    before the receipt.
    """

    offset_s: float
    method: Literal["GET", "HEAD"]
    target: Target
    link: int | None
    headers: Headers
    address: str


@dataclass(frozen=True, slots=True)
class Simulated:
    """A request with its truth, which no classifier may see: the cause, and the part it came from.

    The cause is "human" when a person opened this mail or followed its link at that moment, even
    if a proxy carried the request. All else is "machine".
    """

    request: Request
    cause: Cause
    part: str
