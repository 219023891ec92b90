"""Simulates the requests of one behaviour family about one mail to one person.

The same family, seed and mail give the same requests, on every machine: the only source of
randomness is `random.Random` with a text as its seed. Nothing here was recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from random import Random
from typing import Literal

from tests.corpus.model import (
    Client,
    Companion,
    Count,
    Family,
    Headers,
    Mail,
    Network,
    Range,
    Request,
    Simulated,
    Spread,
    Target,
    Visit,
    Whole,
)

_WITHIN_GROUP_S = 0.15
"""Requests that are sent at once arrive within this time. An assumption, for every family."""

Fetch = tuple[Target, int | None]


def requests_of(family: Family, seed: int, mail: Mail) -> Iterator[Simulated]:
    """Yields the family's requests for the mail in order of time. There may be none."""
    rng = Random(f"{family.name} {seed} {mail}")
    starts: dict[str, float] = {}
    addresses: dict[str, str] = {}
    found: list[Simulated] = []
    for visit in family.visits:
        anchor = starts[visit.after] if visit.after is not None else 0.0
        start = anchor + _draw(rng, visit.starts_s, visit.spread)
        address = _address(rng, visit.networks)
        if visit.same_address and visit.after is not None:
            address = addresses[visit.after]
        starts[visit.name], addresses[visit.name] = start, address
        if _happens(rng, visit.chance_share):
            found += _round_of(rng, visit, mail, start, address)
    yield from sorted(found, key=lambda each: each.request.offset_s)


def _round_of(
    rng: Random, visit: Visit, mail: Mail, start: float, address: str
) -> Iterator[Simulated]:
    """Yields the requests of one visit: its rounds, and what accompanies each link."""
    client = rng.choice(visit.clients)
    fetches = _fetches(rng, visit, mail)
    pixel = mail.pixel and _happens(rng, visit.pixel_share)
    at = start
    for number in range(1 + _whole(rng, visit.repeats)):
        if number:
            at += _draw(rng, visit.repeat_after_s, visit.spread)
        if pixel:
            yield _simulated(rng, visit, client, address, at, ("pixel", None), "GET")
        yield from _links_of(rng, visit, client, address, at, fetches)


def _links_of(
    rng: Random, visit: Visit, client: Client, address: str, start: float, fetches: Sequence[Fetch]
) -> Iterator[Simulated]:
    """Yields the requests for links, in groups that are sent at once."""
    at = start + (_draw(rng, visit.reading_s, "even") if fetches else 0.0)
    together = _whole(rng, visit.parallel)
    for place, fetch in enumerate(fetches):
        if place and place % together == 0:
            at += _draw(rng, visit.gap_s, "even")
        moment = at + (rng.uniform(0.0, _WITHIN_GROUP_S) if together > 1 else 0.0)
        method: Literal["GET", "HEAD"] = "HEAD" if _happens(rng, visit.head_share) else "GET"
        if method == "GET" and _happens(rng, visit.head_first_share):
            yield _simulated(rng, visit, client, address, moment, fetch, "HEAD")
            moment += rng.uniform(0.01, _WITHIN_GROUP_S)
        yield _simulated(rng, visit, client, address, moment, fetch, method)
        for companion in visit.companions:
            if _happens(rng, companion.chance_share):
                at_s = moment + _draw(rng, companion.offset_s, companion.spread)
                request = _accompanying(rng, companion, client, address, at_s, fetch)
                yield Simulated(request, companion.cause, f"{visit.name}.{companion.name}")


def _accompanying(
    rng: Random, companion: Companion, client: Client, address: str, at: float, fetch: Fetch
) -> Request:
    """Returns a companion's request for a link. The client and address given are the visit's."""
    other = rng.choice(companion.clients)
    elsewhere = _address(rng, companion.networks)
    method: Literal["GET", "HEAD"] = "HEAD" if _happens(rng, companion.head_share) else "GET"
    return _request(
        client if companion.same_client else other,
        address if companion.same_address else elsewhere,
        at,
        fetch,
        method,
    )


def _fetches(rng: Random, visit: Visit, mail: Mail) -> list[Fetch]:
    """Returns the links that a visit fetches, the hidden one among them if it is followed."""
    number = _number_of_links(rng, visit, mail)
    if visit.picks == "any":
        numbers = sorted(rng.sample(range(1, mail.links + 1), number))
    elif visit.picks == "first":
        numbers = list(range(1, number + 1))
    else:
        numbers = list(range(mail.links - number + 1, mail.links + 1))
    fetches: list[Fetch] = [("link", each) for each in numbers]
    if mail.marketing and _happens(rng, visit.honeypot_share):
        before = sum(1 for each in numbers if each <= mail.honeypot_after)
        fetches.insert(before, ("honeypot", None))
    if visit.order == "reversed":
        fetches.reverse()
    elif visit.order == "shuffled":
        rng.shuffle(fetches)
    return fetches


def _number_of_links(rng: Random, visit: Visit, mail: Mail) -> int:
    if isinstance(visit.links, Count):
        return min(mail.links, _whole(rng, visit.links.number))
    share = _draw(rng, visit.links.part_share, "even")
    return min(mail.links, max(1, round(share * mail.links)))


def _simulated(
    rng: Random,
    visit: Visit,
    client: Client,
    address: str,
    at: float,
    fetch: Fetch,
    method: Literal["GET", "HEAD"],
) -> Simulated:
    own = _address(rng, visit.networks) if visit.address_per_request else address
    return Simulated(_request(client, own, at, fetch, method), visit.cause, visit.name)


def _request(
    client: Client, address: str, at: float, fetch: Fetch, method: Literal["GET", "HEAD"]
) -> Request:
    target, link = fetch
    return Request(round(at, 3), method, target, link, _headers(client, target), address)


def _headers(client: Client, target: Target) -> Headers:
    own = client.image if target == "pixel" else client.page
    if client.user_agent is None:
        return own
    return (("User-Agent", client.user_agent), *own)


def _draw(rng: Random, bounds: Range, spread: Spread) -> float:
    """Returns a value of the range: each equally likely, or each order of magnitude."""
    low, high = bounds
    if spread == "log" and low > 0:
        return math.exp(rng.uniform(math.log(low), math.log(high)))
    return rng.uniform(low, high)


def _whole(rng: Random, bounds: Whole) -> int:
    return rng.randint(*bounds)


def _happens(rng: Random, probability: Range) -> bool:
    """Draws a probability from its range, then whether it happens."""
    return rng.random() < rng.uniform(*probability)


def _address(rng: Random, networks: Sequence[Network]) -> str:
    """Returns an address of one of the networks' blocks, each network equally likely."""
    block = ip_network(rng.choice(rng.choice(networks).blocks))
    return str(block[rng.randrange(block.num_addresses)])
