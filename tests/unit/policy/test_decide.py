"""The decision, as a table: who hears what, when, and why not.

A row names what differs from a person who has said nothing and a message of priority 3 of a
category that rests on contract. `-` is the default of its column.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta

import pytest

from notifications.policy.decide import (
    CHECKS,
    Burst,
    Contact,
    Defer,
    Digest,
    Expire,
    MessageFacts,
    Send,
    Suppress,
    decide,
    steps_of,
)
from notifications.policy.preference_state import PreferenceState

NOW = datetime(2030, 5, 1, 23, 30, tzinfo=UTC)
MORNING = datetime(2030, 5, 2, 8, 0, tzinfo=UTC)
QUIET = (time(22), time(8))

# prio      1 critical, 2 high, 3 medium, 4 low
# basis     what the category rests on; `marketing` is consent and a marketing category
# consent   the person's data-processing consent
# all       notifications_enabled           chan   the channel's switch
# cat       the category's own switch       mkt    marketing_enabled
# digest    digest_frequency                cap    a limit is spent
# quiet     it is quiet now (dnd: do not disturb)
# by        p: preferences are bypassed, d: it is a digest, w: a webhook, a: an address, no user
#           l: it went to a mailing list that the person has left
TABLE = """
prio basis     consent all chan cat mkt digest cap quiet by | decision
-    -         -       -   -    -   -   -      -   -     -  | send allowed
4    -         -       -   -    -   -   -      -   -     -  | send allowed
1    -         -       -   -    -   -   -      -   -     -  | send allowed

# 2. consent is asked for only where a category rests on it, and nothing passes it by
-    consent   -       -   -    -   -   -      -   -     -  | suppress no_consent
1    consent   -       -   -    -   -   -      -   -     -  | suppress no_consent
-    consent   -       -   -    -   -   -      -   -     p  | suppress no_consent
-    consent   -       -   -    -   -   -      -   -     a  | suppress no_consent
-    consent   yes     -   -    -   -   -      -   -     -  | send allowed
-    -         yes     -   -    -   -   -      -   -     -  | send allowed
-    legal     -       -   -    -   -   -      -   -     -  | send allowed
-    -         -       -   -    -   -   -      -   -     a  | send allowed

# a mailing list: who left it gets nothing
1    -         -       -   -    -   -   -      -   -     l  | suppress not_on_list
4    -         -       off off  -   -   daily  -   yes   l  | suppress not_on_list
-    consent   -       -   -    -   -   -      -   -     l  | suppress not_on_list

# 3. notifications off: only what is urgent, which then passes by 4 and 5
1    -         -       off -    -   -   -      -   -     -  | send urgent_despite_notifications_off
2    -         -       off -    -   -   -      -   -     -  | send urgent_despite_notifications_off
3    -         -       off -    -   -   -      -   -     -  | suppress notifications_off
4    -         -       off -    -   -   -      -   -     -  | suppress notifications_off
2    -         -       off off  -   -   -      -   -     -  | send urgent_despite_notifications_off
2    -         -       off -    off -   -      -   -     -  | send urgent_despite_notifications_off
2    -         -       off off  off -   -      yes -     -  | suppress frequency_cap:course
1    marketing yes     off off  off -   -      -   -     -  | suppress marketing_off
-    -         -       off -    -   -   -      -   -     p  | send preferences_bypassed

# 4. the channel is off: only what is critical
1    -         -       -   off  -   -   -      -   -     -  | send critical_despite_channel_off
2    -         -       -   off  -   -   -      -   -     -  | suppress channel_off
3    -         -       -   off  -   -   -      -   -     -  | suppress channel_off
4    -         -       -   off  -   -   -      -   -     -  | suppress channel_off
3    -         -       -   off  -   -   daily  -   -     -  | suppress channel_off
3    -         -       -   off  -   -   -      -   yes   -  | suppress channel_off
3    -         -       -   off  -   -   -      -   -     w  | send allowed
3    -         -       -   off  -   -   -      -   -     p  | send preferences_bypassed

# 5. the category's channel is off: only what is critical
1    -         -       -   -    off -   -      -   -     -  | send critical_despite_channel_off
2    -         -       -   -    off -   -      -   -     -  | suppress category_channel_off
3    -         -       -   -    off -   -      -   -     -  | suppress category_channel_off
4    -         -       -   -    off -   daily  -   yes   -  | suppress category_channel_off
3    -         -       -   off  off -   -      -   -     -  | suppress channel_off

# 6. marketing, and the person wants none: nothing at all
1    marketing yes     -   -    -   -   -      -   -     -  | suppress marketing_off
4    marketing yes     -   -    -   -   -      -   -     -  | suppress marketing_off
4    marketing yes     -   -    -   on  -      -   -     -  | send allowed
4    marketing -       -   -    -   on  -      -   -     -  | suppress no_consent
4    marketing yes     -   off  -   on  -      -   -     -  | suppress channel_off

# 7. digests: never what is urgent, never a digest itself
1    -         -       -   -    -   -   daily  -   -     -  | send allowed
2    -         -       -   -    -   -   daily  -   -     -  | send allowed
3    -         -       -   -    -   -   hourly -   -     -  | digest digest_hourly
3    -         -       -   -    -   -   daily  -   -     -  | digest digest_daily
4    -         -       -   -    -   -   weekly -   -     -  | digest digest_weekly
3    -         -       -   -    -   -   daily  yes yes   -  | digest digest_daily
3    -         -       -   -    -   -   daily  -   -     d  | send allowed
3    -         -       -   -    -   -   daily  yes -     d  | send allowed
3    -         -       -   -    -   -   daily  -   yes   d  | defer quiet_hours
3    -         -       -   -    -   -   never  -   -     -  | suppress digest_never
2    -         -       -   -    -   -   never  -   -     -  | send allowed
3    -         -       -   -    -   -   never  -   -     d  | send allowed
3    -         -       -   -    -   -   daily  -   -     w  | send allowed
3    -         -       -   -    -   -   daily  -   -     p  | send preferences_bypassed

# 8. a limit is spent: for every sender, at every urgency
1    -         -       -   -    -   -   -      yes -     -  | suppress frequency_cap:course
3    -         -       -   -    -   -   -      yes -     -  | suppress frequency_cap:course
3    -         -       -   -    -   -   -      yes yes   -  | suppress frequency_cap:course
3    -         -       -   -    -   -   -      yes -     p  | send preferences_bypassed
3    -         -       -   -    -   -   -      yes -     w  | suppress frequency_cap:course

# 9. quiet hours and do-not-disturb: never dropped
1    -         -       -   -    -   -   -      -   yes   -  | send urgent_despite_quiet_hours
2    -         -       -   -    -   -   -      -   yes   -  | send urgent_despite_quiet_hours
3    -         -       -   -    -   -   -      -   yes   -  | defer quiet_hours
4    -         -       -   -    -   -   -      -   yes   -  | defer quiet_hours
3    -         -       -   -    -   -   -      -   dnd   -  | defer do_not_disturb
2    -         -       -   -    -   -   -      -   dnd   -  | send urgent_despite_quiet_hours
4    marketing yes     -   -    -   on  -      -   yes   -  | defer quiet_hours
3    -         -       -   -    -   -   -      -   yes   p  | send preferences_bypassed
3    -         -       -   -    -   -   -      -   yes   w  | send allowed
1    -         -       -   off  -   -   -      -   yes   -  | send critical_despite_channel_off
"""


def rows() -> list[tuple[dict[str, str], str]]:
    lines = [line for line in TABLE.splitlines() if line and not line.startswith("#")]
    names = lines[0].partition("|")[0].split()
    return [
        (dict(zip(names, line.partition("|")[0].split(), strict=True)), line.partition("| ")[2])
        for line in lines[1:]
    ]


def facts_of(row: dict[str, str]) -> MessageFacts:
    state = PreferenceState(
        consent=row["consent"] == "yes",
        notifications_enabled=row["all"] != "off",
        marketing_enabled=row["mkt"] == "on",
        channel_on=row["chan"] != "off",
        category_on=row["cat"] != "off",
        digest="immediate" if row["digest"] == "-" else row["digest"],
        quiet=QUIET if row["quiet"] == "yes" else None,
        dnd_until=NOW + timedelta(hours=1) if row["quiet"] == "dnd" else None,
    )
    return MessageFacts(
        now=NOW,
        needs_contact=True,
        contact=Contact("ada@example.com"),
        user_id=None if row["by"] == "a" else 7,
        channel="webhook" if row["by"] == "w" else "email",
        priority=3 if row["prio"] == "-" else int(row["prio"]),
        preferences=None if row["by"] == "a" else state,
        consent_needed=row["basis"] in ("consent", "marketing"),
        marketing=row["basis"] == "marketing",
        personal=row["by"] != "w",
        bypass=row["by"] == "p",
        is_digest=row["by"] == "d",
        on_list=row["by"] != "l",
        spent_limit="frequency_cap:course" if row["cap"] == "yes" else "",
    )


@pytest.mark.parametrize(("row", "expected"), rows(), ids=lambda each: str(each)[:90])
def test_the_table(row, expected):
    decision = decide(facts_of(row))

    assert f"{type(decision).__name__.lower()} {decision.reason}" == expected


OPTED_OUT = {"no_consent", "notifications_off", "channel_off", "category_channel_off"}
OPTED_OUT |= {"marketing_off", "not_on_list"}


@pytest.mark.parametrize(("row", "expected"), rows(), ids=lambda each: str(each)[:90])
def test_only_a_persons_own_wish_refuses_a_send(row, expected):
    decision = decide(facts_of(row))

    if isinstance(decision, Suppress):
        assert decision.opted_out is (decision.reason in OPTED_OUT)


# -- every combination, against the contract read line by line -----------------------------------

CHOICES = {
    "prio": "1234",
    "basis": ("contract", "consent", "marketing"),
    "consent": ("-", "yes"),
    "all": ("-", "off"),
    "chan": ("-", "off"),
    "cat": ("-", "off"),
    "mkt": ("-", "on"),
    "digest": ("-", "daily", "never"),
    "cap": ("-", "yes"),
    "quiet": ("-", "yes"),
    "by": ("-", "d"),
}


def contract(row: dict[str, str]) -> str:
    """SPEC 6, a line for a line."""
    urgent, critical = row["prio"] in "12", row["prio"] == "1"
    off = {name: row[name] == "off" for name in ("all", "chan", "cat")}
    if row["basis"] != "contract" and row["consent"] != "yes":
        return "suppress"
    if off["all"] and not urgent:
        return "suppress"
    if not off["all"] and (off["chan"] or off["cat"]) and not critical:
        return "suppress"
    if row["basis"] == "marketing" and row["mkt"] != "on":
        return "suppress"
    if row["by"] != "d" and row["digest"] != "-" and not urgent:
        return "suppress" if row["digest"] == "never" else "digest"
    if row["by"] != "d" and row["cap"] == "yes":
        return "suppress"
    if row["quiet"] == "yes" and not urgent:
        return "defer"
    return "send"


def test_every_combination_agrees_with_the_contract():
    combinations = list(itertools.product(*CHOICES.values()))
    assert len(combinations) == 9216
    wrong = [
        row
        for values in combinations
        if type(decide(facts_of(row := dict(zip(CHOICES, values, strict=True))))).__name__.lower()
        != contract(row)
    ]
    assert wrong == []


# -- what comes before a person's preferences, and after them ------------------------------------


def plain(**more):
    base = {"now": NOW, "needs_contact": True, "contact": Contact("ada@example.com"), "user_id": 7}
    return MessageFacts(**base | more)


EARLIER = "waiting_for_earlier_message"
REFUSING = PreferenceState(notifications_enabled=False)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (plain(expires_at=NOW), Expire()),
        (plain(expires_at=NOW, stopped_by="all"), Expire()),
        (plain(expires_at=NOW + timedelta(seconds=1)), Send("ada@example.com")),
        (plain(stopped_by="all"), Defer(NOW + timedelta(seconds=5), "kill_switch:all")),
        (plain(superseded=True), Suppress("collapsed_by_newer")),
        (plain(user_active=False), Suppress("user_inactive")),
        (plain(supports_channel=False), Suppress("channel_not_in_template")),
        (plain(contact=None), Suppress("no_contact_point")),
        (plain(contact=None, preferences=REFUSING), Suppress("no_contact_point")),
        (plain(contact=Contact("x", suppressed=True)), Suppress("address_suppressed", True)),
        (plain(contact=Contact("x", "bounced")), Suppress("contact_bounced")),
        (plain(contact=Contact("x", "")), Suppress("contact_")),
        (
            plain(contact=Contact("x"), barred_country="KP"),
            Suppress("country_not_allowed:KP"),
        ),
        (plain(contact=Contact("x", "unsubscribed")), Suppress("contact_unsubscribed", True)),
        (plain(contact=None, needs_contact=False), Send("7")),
        (plain(earlier_open=True), Defer(NOW + timedelta(seconds=1), EARLIER)),
        (plain(earlier_open=True, preferences=REFUSING), Suppress("notifications_off", True)),
    ],
)  # fmt: skip
def test_what_is_no_wish(facts, expected):
    assert decide(facts) == expected


def test_never_leaves_the_inbox():
    never = PreferenceState(digest="never")

    assert decide(plain(preferences=never, channel="in_app")) == Send("ada@example.com")
    assert decide(plain(preferences=never, channel="websocket")) == Suppress("digest_never")


def test_a_digest_is_that_of_the_persons_own_day():
    facts = plain(
        preferences=PreferenceState(digest="daily", zone="Asia/Tokyo"),
        zones=("Europe/Paris", "UTC"),
    )

    decision = decide(facts)

    assert isinstance(decision, Digest)
    assert decision.frequency == "daily"
    assert NOW < decision.closes_at <= NOW + timedelta(days=1)
    assert decision.bucket.startswith("daily:2030-05-0")


@pytest.mark.parametrize(
    ("state_zone", "zones", "until", "reason"),
    [
        ("", ("UTC",), MORNING, "quiet_hours"),
        ("Europe/Paris", ("UTC",), datetime(2030, 5, 2, 6, 0, tzinfo=UTC), "quiet_hours"),
        ("", ("Europe/Paris", "UTC"), datetime(2030, 5, 2, 6, 0, tzinfo=UTC), "quiet_hours"),
        ("Mars/Base", ("UTC",), MORNING, "quiet_hours:unknown_zone:Mars/Base"),
        ("", ("../etc", "UTC"), MORNING, "quiet_hours:unknown_zone:../etc"),
        ("", ("", "nowhere"), MORNING, "quiet_hours:unknown_zone:nowhere"),
    ],
)
def test_quiet_hours_are_wall_clock_in_the_first_zone_that_exists(state_zone, zones, until, reason):
    state = PreferenceState(quiet=QUIET, zone=state_zone)

    assert decide(plain(preferences=state, zones=zones)) == Defer(until, reason)


def test_outside_quiet_hours_no_one_waits():
    noon = datetime(2030, 5, 1, 12, tzinfo=UTC)

    assert decide(plain(now=noon, preferences=PreferenceState(quiet=QUIET))).reason == "allowed"
    assert (
        decide(plain(now=noon, priority=2, preferences=PreferenceState(quiet=QUIET))).reason
        == "allowed"
    )


def test_do_not_disturb_that_ends_in_quiet_hours_lasts_until_they_end():
    state = PreferenceState(quiet=QUIET, dnd_until=NOW + timedelta(hours=2))

    assert decide(plain(preferences=state)) == Defer(MORNING, "do_not_disturb")


def test_do_not_disturb_that_is_over_counts_no_more():
    assert decide(plain(preferences=PreferenceState(dnd_until=NOW))).reason == "allowed"


# -- steps ---------------------------------------------------------------------------------------


def test_steps_tell_what_was_passed_before_the_end():
    steps = steps_of("marketing_off")

    assert steps[-1] == ("marketing", "marketing_off")
    assert [outcome for _, outcome in steps[:-1]] == ["passed"] * (len(steps) - 1)
    assert [step for step, _ in steps] == [name for name, _ in CHECKS][: len(steps)]


def test_a_message_that_went_out_passed_every_step():
    assert steps_of("allowed") == [(name, "passed") for name, _ in CHECKS]


@pytest.mark.parametrize(("row", "expected"), rows(), ids=lambda each: str(each)[:90])
def test_every_reason_belongs_to_the_step_that_gives_it(row, expected):
    decision = decide(facts_of(row))
    steps = steps_of(decision.reason)

    if isinstance(decision, Send):
        assert steps[-1] == ("burst", "passed")
    else:
        assert steps[-1][1] == decision.reason
        ask = dict(CHECKS)[steps[-1][0]]
        assert ask(facts_of(row)) == decision


SOON = NOW + timedelta(seconds=60)
BURST_CASES = {
    "others may join": (Burst(SOON, ""), None, Defer, "burst_window"),
    "they are known": (Burst(NOW, "burst:7"), None, Digest, "burst"),
    "it would expire": (
        Burst(NOW + timedelta(seconds=60), ""),
        NOW + timedelta(seconds=62),
        Send,
        "allowed",
    ),
}


@pytest.mark.parametrize("case", BURST_CASES)
def test_unread_messages_wait_for_one_another(case):
    burst, expires_at, kind, reason = BURST_CASES[case]

    decision = decide(
        MessageFacts(now=NOW, needs_contact=False, contact=None, burst=burst, expires_at=expires_at)
    )

    assert (type(decision), decision.reason) == (kind, reason)
