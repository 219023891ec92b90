"""Runs every command of every page as it is written, against a running installation."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from carillon.servers import RedisServer
from notifications.testing.http_sink import ReceivedRequest, Reply
from notifications.testing.servers import HTTPSink, SMTPSink
from tests.docs.blocks import PAGES, ROOT, Block, commands_of
from tests.docs.running.pages import PageRun, Scenario, end_all, program_path
from tests.docs.running.scenarios import SCENARIOS
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_cli import _responds

pytestmark = pytest.mark.processes
NAMED = {page.relative_to(ROOT).as_posix(): page for page in PAGES}
TOKEN = "0123456789abcdef0123456789abcdef"
WITH_COMMANDS = sorted(name for name, page in NAMED.items() if commands_of(page))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Returns the folder of the hosts of `carillon` commands; they end with the module."""
    folder = tmp_path_factory.mktemp("hosts")
    yield folder
    end_all(folder)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, str]]:
    """Returns an installation as `make run` serves it, and its address."""
    made = Installation(
        tmp_path_factory.mktemp("demo"), webhook_allow_private="true", twilio_auth_token=TOKEN
    )
    made.prepare(demo=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with made.running("serve", "--port", str(port)):
        wait_until(lambda: _responds(f"{url}/health/ready"))
        yield made, url


@pytest.fixture
def durable_url(postgres_url: str) -> str:
    """Returns the URL of a database in which `carillon doctor` finds no fault."""
    with psycopg.connect(postgres_url, autocommit=True) as base:
        base.execute(
            SQL("ALTER DATABASE {} SET synchronous_commit = on").format(
                Identifier(base.info.dbname)
            )
        )
    return postgres_url


def as_vendors(request: ReceivedRequest) -> Reply:
    """Responds as FCM, Google and Twilio do to a call that succeeds."""
    if request.path.endswith("/token"):
        return Reply(body=b'{"access_token": "t", "expires_in": 3600}')
    if request.path.endswith("messages:send"):
        return Reply(body=b'{"name": "projects/p/messages/1"}')
    if request.path.endswith("/Messages.json"):
        return Reply(201, b'{"sid": "SM0123456789abcdef", "status": "queued"}')
    return Reply(body=b'{"status": "active"}')


def test_exactly_the_pages_with_commands_have_a_scenario():
    assert sorted(SCENARIOS) == WITH_COMMANDS


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sh", "false\n"),
        ("sh", "curl http://127.0.0.1:8000/no-such-page\n"),
        ("sh", "carillon token no-such-user\n"),
        ("sh", "exit 0\n"),
        ("python", "1 / 0\n"),
        ("python", "# alone.py\n"),
    ],
)
def test_a_command_that_fails_or_does_not_run_fails_its_page(kind, text, demo, hosts, tmp_path):
    installation, url = demo
    blocks = [Block("page", 1, kind, text), Block("page", 9, "sh", "true\n")]
    page = PageRun(tmp_path, hosts, installation.environ, url)
    with pytest.raises(AssertionError):
        assert page.run(blocks, Scenario(), {}) == len(blocks)


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_every_command_of_the_page_runs(name, demo, hosts, tmp_path, request):
    scenario = SCENARIOS[name]
    programs = ("curl", *scenario.needs)
    missing = [each for each in programs if shutil.which(each, path=program_path()) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    if not (ROOT / scenario.installed).is_dir():
        pytest.skip(f"{scenario.installed} is not there: run make clients")
    blocks = commands_of(NAMED[name])
    installation, url = demo
    given = {"url": url, "port": str(free_port()), "other_port": str(free_port())}
    with ExitStack() as stack:
        sink = stack.enter_context(SMTPSink(login="ann:secret").run_in_thread())
        vendor = stack.enter_context(HTTPSink(script=as_vendors).run_in_thread())
        given |= {"smtp_port": str(sink.port), "hook": vendor.url}
        if scenario.production:
            database = request.getfixturevalue("durable_url")
            restored = f"restored_{os.urandom(4).hex()}"
            given |= {
                "database": database,
                "restored_name": restored,
                "restored": re.sub(r"/test_\w+", f"/{restored}", database),
                "redis": stack.enter_context(RedisServer()).url,
            }
        page = PageRun(tmp_path, hosts, installation.environ, url)
        assert page.run(blocks, scenario, given) == len(blocks)
