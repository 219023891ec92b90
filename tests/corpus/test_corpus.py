"""The corpus is well-formed: sources, ranges, networks, truth, halves, page and generator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from tests.corpus.families import FAMILIES, HELD_OUT, TUNING, halves
from tests.corpus.generator import requests_of
from tests.corpus.model import (
    Client,
    Companion,
    Count,
    Family,
    Mail,
    Network,
    Share,
    Simulated,
    Visit,
)
from tests.corpus.networks import DATA_CENTRE, HOME, NETWORKS
from tests.docs.codes import ROOT

PAGE = ROOT / "docs/tracking-corpus.md"
MAILS = (
    Mail(links=1),
    Mail(links=3, honeypot_after=0),
    Mail(links=10, honeypot_after=5),
    Mail(links=8, marketing=False),
    Mail(links=6, pixel=False, honeypot_after=6),
    Mail(links=0, marketing=False),
)
SEEDS = range(12)
DOCUMENTATION = [
    ip_network(block)
    for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
PARAMETERS = "b8792d73"
"""The first digits of the digest of all parameters. A change of the corpus changes it."""


def parts_of(family: Family) -> list[Visit | Companion]:
    parts: list[Visit | Companion] = []
    for visit in family.visits:
        parts += [visit, *visit.companions]
    return parts


def simulated(family: Family, mail: Mail, seeds: range = SEEDS) -> list[Simulated]:
    return [each for seed in seeds for each in requests_of(family, seed, mail)]


def test_there_are_families_of_all_kinds():
    assert len(FAMILIES) >= 36
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    kinds = Counter(family.kind for family in FAMILIES)
    assert min(kinds["machine"], kinds["human"], kinds["mixed"]) >= 10


def test_every_family_has_sources_with_a_title_and_an_address():
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
        assert family.sources, family.name
        for source in family.sources:
            assert re.match(r"https?://[\w.-]+\.[a-zA-Z]+/\S*$", source.address), source.address
            assert source.title, family.name
            assert source.says.endswith("."), source.says


def test_a_source_backs_only_fields_that_its_family_states():
    for family in FAMILIES:
        assert family.backed - set(family.stated) == set(), family.name
        assert set(family.assumed) | family.backed == set(family.stated), family.name


def ranges_of(part: Visit | Companion) -> dict[str, tuple[float, float]]:
    """Returns the pairs (low, high) of a part, by the name of their field."""
    found = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Share):
            found["links_share"] = value.part_share
        elif isinstance(value, Count):
            found["links"] = value.number
        elif isinstance(value, tuple) and value and isinstance(value[0], int | float):
            found[field.name] = value
    return found


def test_every_range_is_ordered_and_every_share_is_a_probability():
    found = 0
    for family in FAMILIES:
        for part in parts_of(family):
            for name, (low, high) in ranges_of(part).items():
                where = (family.name, part.name, name)
                assert low <= high, where
                assert high <= 1 or not name.endswith("_share"), where
                assert low >= 0 or name in ("starts_s", "offset_s", "reading_s"), where
                found += 1
    assert found > 1000


def test_a_log_spread_has_a_positive_beginning():
    for family in FAMILIES:
        for part in parts_of(family):
            first = part.starts_s if isinstance(part, Visit) else part.offset_s
            assert part.spread == "even" or first[0] > 0, (family.name, part.name)


def narrow(family: Family) -> list[str]:
    """Returns the assumed times that span less than a factor of three."""
    found = []
    for name in family.assumed:
        *path, field = name.split(".")
        if not field.endswith("_s"):
            continue
        part = next(each for each in parts_of(family) if each.name == path[-1])
        low, high = getattr(part, field)
        nearest, furthest = sorted((abs(low), abs(high)))
        if low * high > 0 and furthest < 3 * nearest:
            found.append(f"{family.name}.{name}")
    return found


def test_an_assumed_time_spans_at_least_a_factor_of_three():
    """Where no source states the bounds, a narrow range would be false precision."""
    assert [name for family in FAMILIES for name in narrow(family)] == []
    tight = replace(FAMILIES[0].visits[0], starts_s=(10.0, 20.0))
    assert narrow(replace(FAMILIES[0], visits=(tight,))) == ["safelinks_at_delivery.scan.starts_s"]


def test_a_visit_follows_an_earlier_one():
    for family in FAMILIES:
        names: list[str] = []
        for visit in family.visits:
            assert visit.after is None or visit.after in names, family.name
            assert visit.after is not None or not visit.same_address, family.name
            names += [visit.name, *(each.name for each in visit.companions)]
        assert len(set(names)) == len(names), family.name


def test_the_kind_is_that_of_the_causes():
    for family in FAMILIES:
        causes = {part.cause for part in parts_of(family)}
        expected = {"human", "machine"} if family.kind == "mixed" else {family.kind}
        assert causes == expected, family.name
        assert family.known_miss_possible is None or "machine" in causes, family.name


def test_people_never_follow_the_hidden_link():
    people = [each for family in FAMILIES for each in family.visits if each.cause == "human"]
    assert [visit.name for visit in people if visit.honeypot_share[1] > 0] == []


@pytest.mark.parametrize("network", NETWORKS, ids=[each.name for each in NETWORKS])
def test_a_network_is_published_or_of_documentation(network):
    blocks = [ip_network(block) for block in network.blocks]
    if network.reach == "published":
        assert network.published_at is not None
        assert all(block.is_global for block in blocks)
    else:
        assert network.published_at is None
        for block in blocks:
            near = [each for each in DOCUMENTATION if each.version == block.version]
            assert any(block.subnet_of(each) for each in near), block


def test_the_same_seed_gives_the_same_requests_and_another_gives_others():
    for family in FAMILIES:
        once = [list(requests_of(family, seed, MAILS[2])) for seed in range(20)]
        again = [list(requests_of(family, seed, MAILS[2])) for seed in range(20)]
        assert once == again, family.name
        assert len({repr(each) for each in once}) > 10, family.name


def test_requests_come_in_order_and_fit_the_mail():
    for family in FAMILIES:
        for mail in MAILS:
            for seed in SEEDS:
                requests = [each.request for each in requests_of(family, seed, mail)]
                offsets = [each.offset_s for each in requests]
                assert offsets == sorted(offsets), family.name
                targets = {each.target for each in requests}
                assert mail.pixel or "pixel" not in targets, family.name
                assert mail.marketing or "honeypot" not in targets, family.name
                links = {each.link for each in requests if each.target == "link"}
                assert links <= set(range(1, mail.links + 1)), family.name
                assert all(each.link is None for each in requests if each.target != "link")


def blocks_of(networks: Iterable[Network]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(block) for network in networks for block in network.blocks]


def test_requests_come_from_the_clients_and_networks_of_their_part():
    for family in FAMILIES:
        known = {visit.name: visit for visit in family.visits}
        for each in simulated(family, MAILS[2]):
            name, _, companion = each.part.partition(".")
            visit = known[name]
            part: Visit | Companion = visit
            if companion:
                part = next(one for one in visit.companions if one.name == companion)
            assert each.cause == part.cause, family.name
            agents = {client.user_agent for client in (*part.clients, *visit.clients)}
            assert dict(each.request.headers).get("User-Agent") in agents, family.name
            before = known[visit.after].networks if visit.after and visit.same_address else ()
            address = ip_address(each.request.address)
            blocks = blocks_of((*part.networks, *visit.networks, *before))
            assert any(address in one for one in blocks if one.version == address.version)


def earliest(family: Family, visit: Visit) -> float:
    """Returns the earliest possible beginning of a visit, in seconds after the receipt."""
    if visit.after is None:
        return visit.starts_s[0]
    before = next(each for each in family.visits if each.name == visit.after)
    return earliest(family, before) + visit.starts_s[0]


def test_no_request_is_earlier_than_its_ranges_allow():
    for family in FAMILIES:
        bounds = {}
        for visit in family.visits:
            begins = earliest(family, visit) + min(0.0, visit.reading_s[0])
            bounds[visit.name] = begins
            for companion in visit.companions:
                bounds[f"{visit.name}.{companion.name}"] = begins + companion.offset_s[0]
        for each in simulated(family, MAILS[2]):
            assert each.request.offset_s >= bounds[each.part] - 0.001, (family.name, each.part)


ONE = Client("one", "one/1", (("Accept", "text/html"),), (("Accept", "image/*"),))
PLAIN = Visit("visit", "machine", (ONE,), (DATA_CENTRE,), starts_s=(5.0, 5.0))


def of(*visits: Visit, seed: int = 1) -> list[Simulated]:
    """Returns what a family of these visits does about a mail of four links."""
    family = Family("one", "One", "machine", "program", FAMILIES[0].sources, visits)
    return list(requests_of(family, seed, Mail(links=4, honeypot_after=2)))


def test_a_round_has_the_pixel_then_the_links_in_the_order_of_the_mail():
    visit = replace(
        PLAIN,
        pixel_share=(1.0, 1.0),
        links=Share((1.0, 1.0)),
        reading_s=(2.0, 2.0),
        gap_s=(1.0, 1.0),
        honeypot_share=(1.0, 1.0),
    )
    requests = [each.request for each in of(visit)]
    seen = [(each.offset_s, each.target, each.link) for each in requests]
    assert seen == [
        (5.0, "pixel", None),
        (7.0, "link", 1),
        (8.0, "link", 2),
        (9.0, "honeypot", None),
        (10.0, "link", 3),
        (11.0, "link", 4),
    ]
    assert requests[0].headers == (("User-Agent", "one/1"), ("Accept", "image/*"))
    assert requests[1].headers == (("User-Agent", "one/1"), ("Accept", "text/html"))
    assert len({each.address for each in requests}) == 1


def test_groups_are_sent_at_once():
    visit = replace(PLAIN, links=Share((1.0, 1.0)), parallel=(2, 2), gap_s=(10.0, 10.0))
    offsets = [each.request.offset_s for each in of(visit)]
    assert offsets[1] < 5.2 < 14.9 < offsets[2] < offsets[3] < 15.2


def test_first_and_last_links_are_picked():
    first = replace(PLAIN, links=Count((1, 1)), picks="first")
    last = replace(PLAIN, links=Count((2, 2)), picks="last", order="reversed")
    assert [each.request.link for each in of(first)] == [1]
    assert [each.request.link for each in of(last)] == [4, 3]


def test_head_comes_alone_or_before_get():
    alone = replace(PLAIN, links=Count((1, 1)), head_share=(1.0, 1.0))
    before = replace(PLAIN, links=Count((1, 1)), head_first_share=(1.0, 1.0))
    assert [each.request.method for each in of(alone)] == ["HEAD"]
    assert [each.request.method for each in of(before)] == ["HEAD", "GET"]


def test_rounds_repeat_over_the_same_links():
    visit = replace(PLAIN, links=Count((2, 2)), repeats=(2, 2), repeat_after_s=(60.0, 60.0))
    requests = [each.request for each in of(visit)]
    assert [each.offset_s for each in requests] == [5.0, 5.0, 65.0, 65.0, 125.0, 125.0]
    assert len({each.link for each in requests}) == 2


def test_a_companion_accompanies_each_link_with_its_own_cause():
    check = Companion(
        "check",
        "machine",
        (replace(ONE, user_agent=None),),
        (HOME,),
        chance_share=(1.0, 1.0),
        offset_s=(-1.0, -1.0),
        head_share=(1.0, 1.0),
    )
    visit = replace(PLAIN, cause="human", links=Count((1, 1)), companions=(check,))
    before, after = of(visit)
    assert (before.part, before.cause, before.request.method) == ("visit.check", "machine", "HEAD")
    assert (after.part, after.cause, after.request.method) == ("visit", "human", "GET")
    assert before.request.offset_s == after.request.offset_s - 1
    assert "User-Agent" not in dict(before.request.headers)
    own = replace(check, same_address=True, same_client=True)
    before, after = of(replace(visit, companions=(own,)))
    assert before.request.address == after.request.address
    assert before.request.headers == after.request.headers


def test_addresses_change_with_each_request_where_the_family_says_so():
    wide = Network("wide", "data-centre", ("2001:db8::/32",))
    visit = replace(
        PLAIN, networks=(wide,), links=Share((1.0, 1.0)), address_per_request=True, gap_s=(1.0, 2.0)
    )
    assert len({each.request.address for each in of(visit)}) == 4


def test_a_log_spread_makes_each_order_of_magnitude_equally_likely():
    visit = replace(PLAIN, links=Count((1, 1)), starts_s=(1.0, 10_000.0))
    starts = {
        spread: sorted(
            of(replace(visit, spread=spread), seed=n)[0].request.offset_s for n in range(99)
        )
        for spread in ("even", "log")
    }
    assert 10 < starts["log"][49] < 1_000
    assert 3_000 < starts["even"][49] < 7_000


def test_a_visit_begins_after_the_one_it_follows_even_if_that_one_left_no_trace():
    silent = replace(PLAIN, name="silent", chance_share=(0.0, 0.0))
    next_one = replace(PLAIN, links=Count((1, 1)), after="silent")
    assert [each.request.offset_s for each in of(silent, next_one)] == [10.0]


def test_a_visit_has_the_address_of_the_one_it_follows_where_the_family_says_so():
    opened = replace(PLAIN, name="open", networks=(HOME,), pixel_share=(1.0, 1.0))
    clicked = replace(PLAIN, links=Count((1, 1)), after="open", same_address=True)
    for seed in SEEDS:
        first, second = of(opened, clicked, seed=seed)
        assert first.request.address == second.request.address
    apart = [of(opened, replace(clicked, same_address=False), seed=seed) for seed in SEEDS]
    assert all(one.request.address != two.request.address for one, two in apart)


def test_both_halves_hold_every_kind_and_every_likeness():
    assert set(TUNING) | set(HELD_OUT) == set(FAMILIES)
    assert set(TUNING) & set(HELD_OUT) == set()
    for trait in ("kind", "likeness"):
        tuning = Counter(getattr(family, trait) for family in TUNING)
        held_out = Counter(getattr(family, trait) for family in HELD_OUT)
        assert tuning.keys() == held_out.keys()
        assert all(abs(tuning[each] - held_out[each]) <= 4 for each in tuning)


def test_the_halves_depend_on_names_alone():
    tuning, held_out = halves(reversed(FAMILIES))
    assert set(tuning) == set(TUNING)
    assert set(held_out) == set(HELD_OUT)


def test_the_held_out_half_is_the_one_chosen_before_any_classifier():
    assert sorted(family.name for family in HELD_OUT) == HELD_OUT_NAMES


HELD_OUT_NAMES: list[str] = [
    "barracuda_first_link",
    "barracuda_sentinel",
    "browser_prefetch_then_click",
    "discord_preview",
    "endpoint_antivirus",
    "filter_fetches_again",
    "fortimail_sandbox",
    "gmail_prefetch_then_open",
    "gmail_proxy_at_delivery",
    "gmail_proxy_on_open",
    "gmail_reader_clicks",
    "google_safety",
    "headless_chrome",
    "images_off",
    "instant_phone_tap",
    "list_archive_crawlers",
    "mimecast_at_delivery",
    "office_probe_at_click",
    "office_reader",
    "old_browser",
    "old_explorer_gateway",
    "phone_skimmer",
    "proofpoint_at_click",
    "proofpoint_url_defense",
    "reader_over_weeks",
    "reputation_service_after_click",
    "safelinks_at_delivery",
    "scanner_on_reply",
    "sequential_gateway",
    "slack_preview",
    "tor_user",
    "tracker_removing_forward",
    "whatsapp_preview",
    "yahoo_link_preview",
    "yahoo_reader_clicks",
]


def test_the_parameters_are_those_written_before_any_classifier():
    """A change of the corpus changes this digest; its commit says why."""
    stated = repr([(each.name, each.kind, each.likeness, each.visits) for each in FAMILIES])
    assert sha256(stated.encode()).hexdigest()[:8] == PARAMETERS


def row_of(family: Family) -> str:
    """Returns the family's line of the page's table."""
    half = "tune" if family in TUNING else "hold"
    links = ", ".join(f"[{each.title}]({address_of(each.address)})" for each in family.sources)
    backed = ", ".join(name for name in family.stated if name in family.backed) or "none"
    miss = " **Known miss possible.**" if family.known_miss_possible else ""
    return (
        f"| `{family.name}` | {half} | {family.kind} | {family.title}.{miss} | {links} | {backed} |"
    )


def address_of(address: str) -> str:
    return address.replace("(", "%28").replace(")", "%29")


def test_the_page_lists_every_family_with_its_sources_and_what_they_back():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [row_of(family) for family in FAMILIES]
    assert [row for row in rows if row not in lines] == []


def test_the_page_lists_nothing_else_and_counts_rightly():
    page = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert named == [family.name for family in FAMILIES]
    counts = Counter(family.kind for family in FAMILIES)
    assert (
        f"{len(FAMILIES)} families: {counts['machine']} of machines, {counts['human']} of people, "
        f"{counts['mixed']} mixed; {len(TUNING)} to tune on, {len(HELD_OUT)} held out."
    ) in page
    fields_stated = sum(len(family.stated) for family in FAMILIES)
    fields_backed = sum(len(family.backed) for family in FAMILIES)
    assert f"{fields_backed} of {fields_stated} parameters have a source" in page
