"""Recurrence: read strictly, RFC 5545's dates, and each once on the clocks of every zone."""

from __future__ import annotations

import itertools
import random
import warnings
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from notifications.domain.recurrence import next_after, occurrences, wall_times
from notifications.domain.recurrence_rule import (
    Frequency,
    InvalidRule,
    Rule,
    parse_rule,
)
from tests.unit.domain.clock_oracle import (
    DAY,
    MINUTE,
    SEED,
    Change,
    distinct_changes,
    sampled_changes,
    walls,
)

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
PARIS = ZoneInfo("Europe/Paris")
SPAN = {  # how far the yardstick is walked: it is slow where a rule seldom occurs
    Frequency.MINUTELY: timedelta(days=20),
    Frequency.HOURLY: timedelta(days=200),
    Frequency.DAILY: timedelta(days=365 * 4),
    Frequency.WEEKLY: timedelta(days=365 * 4),
    Frequency.MONTHLY: timedelta(days=365 * 9),
    Frequency.YEARLY: timedelta(days=365 * 40),
}


def random_rule(turn: random.Random) -> str:
    """A rule that the RFC allows, of at most four BY parts."""
    frequency = turn.choice(list(Frequency))
    parts = [f"FREQ={frequency.name}"]
    if turn.random() < 0.5:
        parts.append(f"INTERVAL={turn.randrange(1, 30)}")
    # dateutil walks minutes to the year 9999 for what never occurs, such as a 31 February
    month_days = [*range(1, 32), -1, -2, -31] if frequency >= Frequency.DAILY else range(1, 29)
    by = {
        "BYMONTH": lambda: some(turn, range(1, 13)),
        "BYMONTHDAY": lambda: some(turn, month_days),
        "BYDAY": lambda: by_day(turn, frequency),
        "BYHOUR": lambda: some(turn, range(24)),
        "BYMINUTE": lambda: some(turn, range(60)),
    }
    if frequency is Frequency.WEEKLY:
        del by["BYMONTHDAY"]
    chosen = turn.sample(sorted(by), turn.randrange(0, 4))
    if frequency < Frequency.DAILY and "BYHOUR" in chosen:  # some such pairs never meet
        chosen = [name for name in chosen if name != "BYDAY"]
    parts += [f"{name}={by[name]()}" for name in chosen]
    if chosen and frequency is not Frequency.WEEKLY and turn.random() < 0.3:
        # dateutil takes minutes to find that a place is never filled
        places = [1, 2, 3, -1, -2] if frequency > Frequency.DAILY else [1, 2, -1]
        parts.append(f"BYSETPOS={','.join(map(str, turn.sample(places, 2)))}")
    if turn.random() < 0.5:
        parts.append(f"WKST={turn.choice(DAYS)}")
    end = turn.random()
    if end < 0.3:
        parts.append(f"COUNT={turn.randrange(1, 40)}")
    elif end < 0.5:
        parts.append(f"UNTIL={turn.randrange(2030, 2034)}0{turn.randrange(1, 10)}15T120000")
    turn.shuffle(parts)
    return ";".join(parts)


def some(turn: random.Random, numbers) -> str:
    return ",".join(str(n) for n in turn.sample(list(numbers), turn.randrange(1, 4)))


def by_day(turn: random.Random, frequency: Frequency) -> str:
    days = turn.sample(DAYS, turn.randrange(1, 4))
    if frequency >= Frequency.MONTHLY and turn.random() < 0.5:
        days = [f"{turn.choice([1, 2, 4, 5, -1, -2])}{day}" for day in days]
    return ",".join(days)


def walked(text: str, start: datetime, last: datetime) -> list[datetime]:
    """The yardstick's first dates; none where it refuses a rule that can never occur."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # dateutil: COUNT with UNTIL
        try:
            rule = rrulestr(text, dtstart=start)
            until = min(last, rule._until or last)
            return list(itertools.islice(rule.replace(until=until), 60))
        except ValueError:
            return []


def check_against_dateutil(number: int) -> None:
    turn = random.Random(f"{SEED}{number}")
    start = datetime(2030, turn.randrange(1, 13), turn.randrange(1, 29), 9, 30)
    text = random_rule(turn)
    rule = parse_rule(text)
    last = start + SPAN[rule.frequency]
    expected = walked(text, start, last)
    ours = itertools.islice(
        itertools.takewhile(
            lambda at: at <= last.replace(tzinfo=UTC),
            occurrences(rule, start=start, zone=UTC),
        ),
        60,
    )
    assert [at.replace(tzinfo=None) for at in ours] == expected, (text, start)
    for at in expected[:-1:7]:
        after = at.replace(tzinfo=UTC)
        found = next_after(rule, start=start, zone=UTC, after=after)
        assert found == expected[expected.index(at) + 1].replace(tzinfo=UTC), (text, start, at)


@pytest.mark.parametrize("second", [0, 1, 30, 59])
@pytest.mark.parametrize(
    "rule", ["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY", "DAILY;BYMINUTE=15"]
)
def test_the_seconds_of_the_start_recur(rule: str, second: int) -> None:
    start = datetime(2030, 5, 1, 9, 15, second, 250_000)
    found = itertools.islice(occurrences(parse_rule(f"FREQ={rule}"), start=start, zone=UTC), 3)

    first, *others = found
    assert first == start.replace(tzinfo=UTC)
    assert {(each.second, each.microsecond) for each in others} == {(second, 250_000)}


def test_dates_are_those_of_an_independent_implementation():
    for number in range(250):
        check_against_dateutil(number)


@pytest.mark.proof
@pytest.mark.parametrize("shard", range(10))
def test_many_more_dates_are_those_of_an_independent_implementation(shard):
    for number in range(1_000 + shard * 1_500, 2_500 + shard * 1_500):
        check_against_dateutil(number)


def check_a_change(change: Change) -> None:
    """Daily at a time near the change: once on every date that exists, and never early."""
    first = change.at - 3 * DAY
    shown = walls(change.zone, first, 7 * 24 * 60)
    before = (change.at - MINUTE).astimezone(change.zone).replace(tzinfo=None)
    for minutes in (-61, -30, -1, 0, 1, 15, 30, 59, 61):
        at = (before + minutes * MINUTE).time().replace(second=0)
        expected: dict[date, datetime] = {}
        for index, wall in enumerate(shown):
            if wall.time() >= at or wall.date() < max(expected, default=wall.date()):
                expected.setdefault(wall.date(), first + index * MINUTE)
        for day in {wall.date() for wall in shown} - set(expected):
            behind = [i for i, wall in enumerate(shown) if wall.date() > day]
            if behind:  # the day ended in a gap before its time came
                expected[day] = first + behind[0] * MINUTE
        inner = sorted(day for day in expected if abs(day - before.date()) <= DAY)
        rule = parse_rule(f"FREQ=DAILY;BYHOUR={at.hour};BYMINUTE={at.minute}")
        fired = [
            next_after(
                rule,
                start=datetime(1989, 1, 1),
                zone=change.zone,
                after=expected[day] - MINUTE,
            )
            for day in inner
        ]
        assert fired == [expected[day] for day in inner], (change, at)


def test_a_daily_time_comes_once_on_every_date_that_exists():
    for change in sampled_changes(30):
        check_a_change(change)


@pytest.mark.proof
def test_a_daily_time_comes_once_on_every_date_that_exists_in_every_zone():
    for change in distinct_changes():
        check_a_change(change)


def fires(text: str, zone: str, start: datetime, count: int) -> list[str]:
    found = occurrences(parse_rule(text), start=start, zone=ZoneInfo(zone))
    return [
        f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M%z}" for at in itertools.islice(found, count)
    ]


def test_a_time_in_a_gap_moves_to_its_end_and_an_overlap_counts_once():
    spring = fires("FREQ=DAILY", "Europe/Paris", datetime(2030, 3, 30, 2, 30), 3)
    autumn = fires("FREQ=DAILY", "Europe/Paris", datetime(2030, 10, 26, 2, 30), 3)

    assert spring == ["2030-03-30 02:30+0100", "2030-03-31 03:00+0200", "2030-04-01 02:30+0200"]
    assert autumn == ["2030-10-26 02:30+0200", "2030-10-27 02:30+0200", "2030-10-28 02:30+0100"]


def test_a_day_that_a_clock_skips_is_skipped():
    found = fires("FREQ=DAILY;COUNT=3", "Pacific/Apia", datetime(2011, 12, 29, 8, 0), 9)

    assert found == ["2011-12-29 08:00-1000", "2011-12-31 08:00+1400", "2012-01-01 08:00+1400"]


def test_dates_that_do_not_exist_are_skipped():
    monthly = fires("FREQ=MONTHLY", "UTC", datetime(2030, 1, 31, 9, 0), 3)
    leap = fires("FREQ=YEARLY", "UTC", datetime(2096, 2, 29, 9, 0), 2)

    assert [at[:10] for at in monthly] == ["2030-01-31", "2030-03-31", "2030-05-31"]
    assert [at[:10] for at in leap] == ["2096-02-29", "2104-02-29"]


def test_places_are_counted_in_the_whole_week_also_in_the_first():
    """RFC 5545: a set starts at the beginning of its interval; dateutil begins it at the start."""
    friday = datetime(2030, 9, 20, 9, 0)
    found = fires("FREQ=WEEKLY;BYDAY=MO,WE,SU;BYSETPOS=3", "UTC", friday, 2)

    assert [at[:10] for at in found] == ["2030-09-22", "2030-09-29"]


def test_minutes_in_a_gap_are_one_occurrence():
    found = fires("FREQ=MINUTELY;INTERVAL=30", "Europe/Paris", datetime(2030, 3, 31, 1, 30), 4)

    assert [at[11:16] for at in found] == ["01:30", "03:00", "03:30", "04:00"]


@pytest.mark.parametrize(
    ("until", "last"),
    [("20300503", "2030-05-03"), ("20300503T093000", "2030-05-03"),
     ("20300503T092900", "2030-05-02"), ("20300503T073000Z", "2030-05-03"),
     ("20300503T072959Z", "2030-05-02")],
)  # fmt: skip
def test_until_is_included_in_local_time_or_utc(until, last):
    found = fires(f"FREQ=DAILY;UNTIL={until}", "Europe/Paris", datetime(2030, 5, 1, 9, 30), 9)

    assert found[-1][:10] == last


def test_what_can_never_be_ends_quickly():
    rules = ["FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=5",
             "FREQ=DAILY;BYMONTH=4;BYMONTHDAY=31", "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
             "FREQ=YEARLY;INTERVAL=10000;BYMONTH=2;BYMONTHDAY=30",
             "FREQ=YEARLY;BYDAY=4SU;BYMONTHDAY=3,10",
             "FREQ=MONTHLY;BYDAY=4TU;BYMONTHDAY=8"]  # fmt: skip
    for text in rules:
        start = datetime(2030, 5, 1, 4, 0)
        assert next_after(parse_rule(text), start=start, zone=PARIS, after=NOON) is None


def test_a_rule_far_in_its_course_is_not_walked_from_its_start():
    rule = parse_rule("FREQ=MINUTELY;INTERVAL=7")
    found = next_after(rule, start=datetime(1990, 1, 1), zone=PARIS, after=NOON)

    assert found is not None
    assert timedelta(0) < found - NOON <= timedelta(minutes=7)
    assert next(wall_times(rule, datetime(1990, 1, 1), datetime(2030, 5, 1))).year == 2030


NOON = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


def test_a_rule_is_read_with_all_its_parts():
    text = "rrule:freq=monthly;interval=2;count=5;bymonth=3,1;bymonthday=-1,15;byday=-1fr,mo;"
    text += "byhour=9;byminute=30,0;bysetpos=-1;wkst=su"

    assert parse_rule(text) == Rule(
        Frequency.MONTHLY, 2, 5, None, (1, 3), (-1, 15), ((-1, 4), (0, 0)), (9,), (0, 30), (-1,), 6
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not NAME=VALUE"),
        ("COUNT=3", "FREQ is missing, e.g. FREQ=DAILY"),
        ("FREQ=SECONDLY", "FREQ must be one of MINUTELY, HOURLY"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=DAILY;BYWEEKNO=3", "BYWEEKNO is not understood"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20300101", "COUNT and UNTIL exclude each other"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL takes whole numbers from 1 to 10000, not '0'"),
        ("FREQ=DAILY;COUNT=99999", "COUNT takes whole numbers from 1 to 10000, not '99999'"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR takes whole numbers from 0 to 23, not '24'"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY counts from 1, or from -1 backwards"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY takes weekdays such as MO, 2TU or -1FR, not '0MO'"),
        ("FREQ=WEEKLY;BYDAY=2MO", "BYDAY takes ordinals in MONTHLY and YEARLY rules only"),
        ("FREQ=WEEKLY;BYMONTHDAY=2", "BYMONTHDAY does not go with FREQ=WEEKLY"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS needs another BY... part to choose from"),
        ("FREQ=DAILY;UNTIL=20300231", "UNTIL: '20300231' is no date"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL takes 20301231, 20301231T180000"),
        ("FREQ=DAILY;WKST=XX", "WKST takes one of MO, TU"),
        ("FREQ=DAILY;" + "BYHOUR=1,1," * 60, "a rule has at most 500 characters"),
    ],
)
def test_what_cannot_be_read_is_said(text, words):
    with pytest.raises(InvalidRule) as caught:
        parse_rule(text)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    "part", ["BYMONTH=2", "BYMONTHDAY=3", "BYDAY=MO", "BYHOUR=5", "BYMINUTE=7"]
)
def test_a_position_needs_one_other_part_to_choose_from(part):
    assert parse_rule(f"FREQ=YEARLY;BYSETPOS=1;{part}").by_set_pos == (1,)
    with pytest.raises(InvalidRule, match="BYSETPOS needs another"):
        parse_rule("FREQ=YEARLY;BYSETPOS=1")
