"""The engine under the simulation: it finds no fault, and it finds all planted faults."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from carillon.bench.harness.environment import PREPARED
from carillon.cli.sim import command
from carillon.sim.runs import run
from tests.prepared import prepared, shared_folder
from tests.sim import mutants

pytestmark = [pytest.mark.processes, pytest.mark.once]
SEEDS = 500
MOST = 2_000
ON_POSTGRES = 40
MOST_ON_POSTGRES = 200
"""A seed costs about five times as much as on SQLite."""


@pytest.fixture(scope="module", autouse=True)
def _prepared_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Migrates once per run of the tests; each simulation copies the result."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PREPARED, str(shared_folder(Path(tmp_path_factory.getbasetemp()))))
        for kind in ("sqlite", "postgres") if "CARILLON_PROOF" in os.environ else ("sqlite",):
            prepared(kind)
        yield


def test_many_interleavings_have_no_fault():
    results = run(1, SEEDS)

    assert [(each["seed"], each["faults"]) for each in results if each["faults"]] == []
    assert len(results) == SEEDS
    assert sum(result["messages"] for result in results) > 10 * SEEDS


def test_a_seed_gives_the_same_result_again():
    (first,), (second,) = run(4711, 1), run(4711, 1)

    assert first == second


def test_earlier_runs_of_a_process_change_no_step_of_a_seed():
    seeds = 12

    later, first = run(4711, seeds), run(4711, seeds, warm=False)

    assert later == first
    assert len({result["checksum"] for result in first}) == seeds


def test_a_fault_is_shown_with_the_steps_that_led_to_it(monkeypatch):
    result = {"seed": 7, "faults": ["lost: message 3"], "trail": ["0.1 web: COMMIT"], "steps": 9}
    monkeypatch.setattr("carillon.sim.runs.run", lambda *_, **__: [result])

    output = CliRunner().invoke(command, ["--seed", "7", "--json"])

    assert output.exit_code == 1
    assert output.output.splitlines()[:2] == ["seed 7: lost: message 3", "  0.1 web: COMMIT"]
    assert json.loads(output.output.splitlines()[-1])["wrong"] == [7]


def test_one_of_seed_and_seeds_must_be_given():
    assert CliRunner().invoke(command, []).exit_code == 2
    assert CliRunner().invoke(command, ["--seed", "1", "--seeds", "2"]).exit_code == 2


@pytest.mark.proof
@pytest.mark.parametrize("mutant", mutants.ALL, ids=lambda mutant: mutant.__name__)
def test_a_planted_fault_is_found(mutant):
    results = run(1, MOST, mutant=f"tests.sim.mutants:{mutant.__name__}", until_fault=True)

    assert any(result["faults"] for result in results)


@pytest.mark.proof
def test_a_small_set_of_interleavings_has_no_fault_on_postgres():
    results = run(1, ON_POSTGRES, database="postgres")

    assert [(each["seed"], each["faults"]) for each in results if each["faults"]] == []
    assert len(results) == ON_POSTGRES


@pytest.mark.proof
@pytest.mark.parametrize("mutant", mutants.ALL, ids=lambda mutant: mutant.__name__)
def test_a_planted_fault_is_found_on_postgres(mutant):
    name = f"tests.sim.mutants:{mutant.__name__}"

    results = run(1, MOST_ON_POSTGRES, mutant=name, until_fault=True, database="postgres")

    assert any(result["faults"] for result in results)
