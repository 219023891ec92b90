"""Tests of the mutation runner: verdicts, stages of tests, and changes that are no mutants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.areas import SHARES, modules_of
from tests.mutants.covering import function_at, functions_of
from tests.mutants.planting import sample
from tests.mutants.warm import functions_in, swap, swaps_of
from tests.mutants.workspace import judge, stages_of

pytestmark = pytest.mark.once
STAGES = [["quick"], ["slow"]]


@pytest.mark.parametrize(
    ("unchanged", "changed", "became"),
    [
        ({"quick": 1.0, "slow": 2.0}, {"quick": 0, "slow": 0}, "lives"),
        ({"quick": 1.0, "slow": 2.0}, {"quick": 0, "slow": 1}, "killed"),
        ({"quick": 1.0}, {"quick": 1}, "killed"),
        ({"quick": 1.0}, {"quick": None}, "hangs"),
        ({"quick": None}, {"quick": 1}, "unjudged"),
        ({"quick": 1.0, "slow": None}, {"quick": 0, "slow": 1}, "unjudged"),
    ],
)
def test_a_stage_that_fails_without_the_mutant_judges_none(unchanged, changed, became):
    assert judge(STAGES, lambda s: unchanged[s[0]], lambda s, _: changed[s[0]]) == became


def test_a_mutant_may_take_a_few_times_as_long_as_the_tests_without_it():
    limits = []
    judge(STAGES, lambda _: 20.0, lambda _, limit_s: limits.append(limit_s) or 0)
    assert limits == [70.0, 70.0]


def test_the_first_stage_is_short_and_remaining_tests_do_not_run():
    took = {f"tests/{file}.py::{test}": 1.0 for test in range(60) for file in "ab"}
    first, second = stages_of(took, took, (4.0, 60.0))
    assert (len(first), len(second)) == (4, 60)
    files = [test.partition("::")[0] for test in first]
    assert files == sorted(files)


def test_functions_are_known_by_their_dotted_names():
    text = "class A:\n    def b(self):\n        def c():\n            pass\n        c()\nx = 1\n"
    assert [name for *_, name in functions_of(text)] == ["A.b", "A.b.c"]
    assert [function_at(text, line) for line in range(1, 7)] == ["", "", "A.b", "A.b.c", "A.b", ""]


def test_a_sample_is_reproducible_and_changes_existing_lines(monkeypatch):
    monkeypatch.setattr("tests.mutants.planting.SHARES", {"delivery/retry.py": 4})
    drawn = sample(1)
    assert [each.name for each in drawn] == [each.name for each in sample(1)]
    assert len(drawn) == len({each.name for each in drawn}) == 4
    for each in drawn:
        lines = each.module.read_text().splitlines()
        assert each.before == lines[each.line - 1].strip() != each.after


def test_each_area_has_modules():
    assert all(path.is_file() for area in SHARES for path in map(Path, modules_of(area)))


def test_only_functions_in_use_get_the_changed_code():
    before = "X = 1\ndef f(a=1):\n    return [a + b for b in (1, 2)]\n"
    place = Path(__file__).with_name("no_such_module.py")
    names: dict[str, object] = {}
    exec(compile(before, str(place), "exec"), names)
    swap(swaps_of(place, before, before.replace("a + b", "a * b")) or [], functions_in(place))
    assert names["f"](3) == [3, 6]
    for old, new in (("X = 1", "X = 2"), ("a=1", "a=2"), ("def f", "@g\ndef f")):
        assert swaps_of(place, before, before.replace(old, new)) is None
