"""Compares audiences with set arithmetic, for random people and random rules.

CARILLON_PROOF=1 (make proof) draws many more of both.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from directory.audiences import Audience
from tests.integration.directory.audience_model import (
    KINDS,
    NOW,
    NUMBERS,
    PLACES,
    ROLES,
    SCALARS,
    TEXTS,
    Population,
    members,
    populate,
)

PROOF = os.environ.get("CARILLON_PROOF") == "1"
SEEDS = range(40) if PROOF else range(2)
EXAMPLES = 300 if PROOF else 60

pytestmark = [pytest.mark.django_db, *([pytest.mark.proof] if PROOF else [])]


@pytest.fixture(params=SEEDS)
def population(request: Any, db: None) -> Population:
    return populate(request.param)


def probes(field: str, ops: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Tests of a field by any of the operators."""
    one = st.fixed_dictionaries(
        {
            "field": st.just(field),
            "op": st.sampled_from(
                [op for op in ops if op not in ("in", "not_in", "exists")] or ["-"]
            ),
            "value": values,
        }
    ).filter(lambda test: test["op"] != "-")
    several = st.fixed_dictionaries(
        {
            "field": st.just(field),
            "op": st.sampled_from(["in", "not_in"]),
            "value": st.lists(values, min_size=1, max_size=3),
        }
    )
    there = st.fixed_dictionaries(
        {"field": st.just(field), "op": st.just("exists"), "value": st.booleans()}
    )
    choices = [one]
    choices += [several] if "in" in ops else []
    choices += [there] if "exists" in ops else []
    return st.one_of(choices)


SAME = ["eq", "ne", "in", "not_in"]
ORDER = ["lt", "lte", "gt", "gte"]
TEXT = [*SAME, "exists"]
parts_of_text = st.sampled_from([text for text in TEXTS if text])
ordered = st.sampled_from([*TEXTS, *NUMBERS])
moments = st.one_of(
    st.fixed_dictionaries({"hours_ago": st.integers(0, 110)}),
    st.fixed_dictionaries({"days_ago": st.integers(0, 4)}),
    st.sampled_from(["2030-05-01T00:00:00+00:00", "2030-04-29T23:30:00+05:30"]),
)


def field_probes(found: Population) -> st.SearchStrategy[Any]:
    """Tests of every field, with values that people of this population have."""
    groups = st.sampled_from([group.pk for group in found.groups])
    subjects = st.sampled_from([subject.pk for subject in found.subjects])
    outer = [user.external_id for user in found.people if user.external_id]
    texts = ("locale", "timezone", "subscription_tier")
    return st.one_of(
        probes("role", SAME, st.sampled_from(ROLES)),
        *(probes(name, TEXT, st.sampled_from(TEXTS)) for name in texts),
        *(probes(name, ["contains", "starts_with"], parts_of_text) for name in texts),
        probes("external_id", TEXT, st.sampled_from(outer)),
        probes("external_id", ["contains", "starts_with"], parts_of_text),
        probes("date_joined", ORDER, moments),
        probes("last_login", [*ORDER, "exists"], moments),
        probes("groups", TEXT, groups),
        probes("subjects", TEXT, subjects),
        probes("contact_points", TEXT, st.sampled_from(KINDS)),
        st.sampled_from(PLACES).flatmap(
            lambda place: st.one_of(
                probes(f"attributes.{place}", TEXT, st.sampled_from(SCALARS)),
                probes(f"attributes.{place}", ORDER, ordered),
                probes(
                    f"attributes.{place}",
                    ["contains"],
                    st.sampled_from([value for value in SCALARS if value != ""]),
                ),
                probes(f"attributes.{place}", ["starts_with"], parts_of_text),
            )
        ),
    )


def criteria_for(found: Population) -> st.SearchStrategy[Any]:
    return st.recursive(
        field_probes(found),
        lambda inner: st.one_of(
            st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"not": inner}),
        ),
        max_leaves=5,
    )


def rules_for(found: Population) -> st.SearchStrategy[Any]:
    people = [user.pk for user in found.people]
    simple = st.sampled_from(
        [{"rule": f"all_{role}s"} for role in ROLES if role != "admin"]
        + [{"rule": "all"}]
        + [{"rule": "by_subject", "subject_id": subject.pk} for subject in found.subjects]
        + [{"rule": "by_tutor", "tutor_id": tutor} for tutor, _ in sorted(found.tutored)]
        + [
            {"rule": "by_teacher", "teacher_id": teacher}
            for teacher in sorted({t for _, _, t in found.enrolled if t is not None})
        ]
        + [{"rule": "group", "group_id": group.pk} for group in found.groups]
    )
    listed = st.fixed_dictionaries(
        {
            "rule": st.just("custom"),
            "user_ids": st.lists(st.sampled_from([*people, 10**9]), min_size=1, max_size=40),
        }
    )
    segment = st.fixed_dictionaries({"rule": st.just("segment"), "criteria": criteria_for(found)})
    return st.recursive(
        st.one_of(simple, listed, segment),
        lambda inner: st.one_of(
            st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"from": inner, "except": inner}),
        ),
        max_leaves=5,
    )


def test_every_audience_equals_the_set_of_the_model(population: Population) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not PROOF,
        suppress_health_check=list(HealthCheck),
    )
    @given(rule=rules_for(population), page=st.integers(1, 25))
    def check(rule: dict[str, Any], page: int) -> None:
        audience = Audience.of(rule, now=NOW)
        pages = list(audience.stream(page=page))
        ids = [each for some in pages for each in some]
        assert set(ids) == members(rule, population)
        assert ids == sorted(set(ids))
        assert all(0 < len(some) <= page for some in pages)
        assert audience.count() == len(ids)
        assert audience.description

    check()


def test_every_field_test_agrees_with_python(population: Population) -> None:
    @settings(
        max_examples=EXAMPLES * 5,
        deadline=None,
        derandomize=not PROOF,
        suppress_health_check=list(HealthCheck),
    )
    @given(test=field_probes(population))
    def check(test: dict[str, Any]) -> None:
        rule = {"rule": "segment", "criteria": test}
        (ids,) = list(Audience.of(rule, now=NOW).stream(page=1_000)) or [[]]
        assert set(ids) == members(rule, population), test

    check()
