"""A logout in one web process: the token is refused there at once, and elsewhere in a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.web import Web, is_up
from tests.pace import pace

pytestmark = pytest.mark.processes
DOOR = "/api/v1/categories"
BOUND_S = 1.5
"""A caller is trusted for a second after its rows were read; the rest is for a slow machine."""
_TOKENS = """
from directory.models import User
from notifications.features.access.tokens.families import issue_tokens
from notifications.infra import clock
user = User(username="lovelace", staff_role="author")
user.save()
pair = issue_tokens(user, now=clock.now())
print(pair.access, pair.refresh)
"""


@contextmanager
def web(place: Installation, token: str) -> Iterator[Web]:
    port = free_port()
    with place.running("web", "--port", str(port)) as process:
        made = Web(place, port, process.pid, token)
        wait_until(lambda: is_up(made))
        yield made


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_logout_holds_in_every_process_within_a_second(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, everywhere: bool
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    place = Installation(tmp_path, **({"database_url": url} if url else {}))
    place.prepare()
    access, refresh = place.python(_TOKENS).split()
    with web(place, access) as here, web(place, access) as there:
        for _ in range(3):
            assert (here.get(DOOR).status, there.get(DOOR).status) == (200, 200)
        body = {"everywhere": everywhere}
        assert here.request_path("POST", "/api/v1/auth/logout", body).status == 200
        ended = time.monotonic()
        assert here.get(DOOR).status == 401
        while there.get(DOOR).status != 401:
            assert time.monotonic() - ended < BOUND_S * pace()
            time.sleep(0.05)
        assert there.get(DOOR).status == 401
        renewed = there.request_path("POST", "/api/v1/auth/refresh", {"refresh": refresh})
        assert renewed.status == 401
