"""Every command of every page is run as it is written, against a running installation."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from carillon.servers import RedisServer
from notifications.testing.servers import HTTPSink, SMTPSink
from tests.docs.blocks import PAGES, ROOT, commands_of
from tests.docs.running.pages import PageRun, end_all
from tests.docs.running.scenarios import SCENARIOS
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_cli import _answers

pytestmark = pytest.mark.processes
NAMED = {page.relative_to(ROOT).as_posix(): page for page in PAGES}
WITH_COMMANDS = sorted(name for name, page in NAMED.items() if commands_of(page))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the hosts of `carillon` commands are; they end with the module."""
    folder = tmp_path_factory.mktemp("hosts")
    yield folder
    end_all(folder)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, str]]:
    """What `make run` serves, and its address."""
    made = Installation(tmp_path_factory.mktemp("demo"), webhook_allow_private="true")
    made.prepare(demo=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with made.running("serve", "--port", str(port)):
        wait_until(lambda: _answers(f"{url}/health/ready"))
        yield made, url


@pytest.fixture
def durable_url(postgres_url: str) -> str:
    """A database that the doctor finds nothing wrong with."""
    with psycopg.connect(postgres_url, autocommit=True) as base:
        base.execute(
            SQL("ALTER DATABASE {} SET synchronous_commit = on").format(
                Identifier(base.info.dbname)
            )
        )
    return postgres_url


def test_every_page_with_commands_has_its_scenario_and_no_other():
    assert sorted(SCENARIOS) == WITH_COMMANDS


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_every_command_of_the_page_runs(name, demo, hosts, tmp_path, request):
    scenario = SCENARIOS[name]
    missing = [each for each in ("curl", *scenario.needs) if shutil.which(each) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    blocks = commands_of(NAMED[name])
    installation, url = demo
    with ExitStack() as stack:
        login = "ann:secret" if scenario.production else ""
        sink = stack.enter_context(SMTPSink(login=login).run_in_thread())
        hook = stack.enter_context(HTTPSink().run_in_thread())
        given = {"smtp_port": str(sink.port), "hook": hook.url}
        if scenario.production:
            given["database"] = request.getfixturevalue("durable_url")
            given["redis"] = stack.enter_context(RedisServer()).url
        page = PageRun(tmp_path, hosts, installation.environ, url)
        page.write_files(blocks)
        assert page.run(blocks, scenario, given) == len(blocks)
