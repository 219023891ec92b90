"""Random legal rows in the tables, and workers that process them: other rows are not delayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carillon.servers import PostgresServer
from tests.functional.installation import Installation, wait_until
from tests.functional.row_fuzz import left_undone
from tests.prepared import prepared

pytestmark = pytest.mark.processes
BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"])


@contextmanager
def installed(database: str, folder: Path) -> Iterator[Installation]:
    """Creates an installation with its own database."""
    if database == "sqlite":
        place = Installation(folder)
        place.prepare()
        yield place
        return
    with PostgresServer(durable=False, prepared=prepared("postgres")) as server:
        yield Installation(folder, database_url=server.url)


def process_among(seed: int, odd: int, *, database: str, folder: Path) -> None:
    """Plants rows, starts two workers, and waits until the good rows are processed completely."""
    with installed(database, folder) as place:
        planted = place.python(
            "import json\nfrom tests.functional.row_fuzz import plant\n"
            f"print(json.dumps(plant({seed}, {odd})))"
        )
        wanted = json.loads(planted.splitlines()[-1])
        with place.running("worker") as first, place.running("worker") as second:
            left: dict[str, int] = {}

            def done() -> bool:
                left.clear()
                left.update(left_undone(place.query, wanted))
                return not left

            try:
                wait_until(done, 45)
            except AssertionError:
                pytest.fail(
                    "\n".join([f"seed {seed}: {left} are not processed", *_ends_of(folder)])
                )
            if (first.poll(), second.poll()) != (None, None):
                pytest.fail("\n".join(["a worker died", *_ends_of(folder)]))


def _ends_of(folder: Path) -> list[str]:
    return [path.read_text()[-6_000:] for path in folder.glob("worker-*.log")]


@BOTH
def test_random_legal_rows_do_not_delay_other_rows(database, tmp_path):
    process_among(20_301, 40, database=database, folder=tmp_path)


@pytest.mark.proof
@BOTH
@pytest.mark.parametrize("seed", range(20))
def test_random_legal_rows_of_many_seeds_do_not_delay_other_rows(seed, database, tmp_path):
    process_among(seed, 200, database=database, folder=tmp_path)
