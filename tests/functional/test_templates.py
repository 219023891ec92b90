"""Templates across processes: what one process publishes, the others render."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.installation import Installation

pytestmark = pytest.mark.processes
READER = """
import sys
import django
django.setup()
from notifications.rendering.versions import precompile, version_of
from notifications.features.templates.service import TemplateService
print(precompile() > 0, flush=True)
for path in sys.stdin:
    template, version = TemplateService().find(path=path.strip())
    context = {"user": {"first_name": "Ann"}, "app_name": "x"}
    compiled = version_of(version.pk)
    print(compiled.render(channel="push", locale="en", context=context).body, flush=True)
"""
PUBLISH = """
from notifications.domain.callers import SYSTEM
from notifications.models import NotificationTemplate
from notifications.features.templates.service import TemplateService
row = NotificationTemplate.objects.filter(path={path!r}).first()
body = {{"push_template": {text!r}, "status": "published"}}
if row is None:
    TemplateService().create(body={{**body, "name": {path!r}, "path": {path!r}}}, caller=SYSTEM)
else:
    TemplateService().update(identifier=row.pk, body=body, caller=SYSTEM)
"""
AGAIN = """
from notifications.domain.callers import SYSTEM
from notifications.models import NotificationTemplate
from notifications.features.templates.service import TemplateService
row = NotificationTemplate.objects.get(path={path!r})
TemplateService().{action}(identifier=row.pk, caller=SYSTEM{more})
"""


class Reader:
    """A process that renders templates by path and caches compiled versions."""

    def __init__(self, place: Installation) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER],
            env={**place.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=place.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "True"

    def __call__(self, path: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = Installation(tmp_path_factory.mktemp("installation"))
    made.prepare(demo=True)
    return made


@pytest.fixture
def readers(place: Installation) -> Iterator[list[Reader]]:
    started = [Reader(place), Reader(place)]
    yield started
    for each in started:
        each.process.communicate(timeout=30)
        assert each.process.returncode == 0


def test_other_processes_render_what_one_process_publishes(
    place: Installation, readers: list[Reader]
) -> None:
    def rendered(path: str = "user.trial.done") -> list[str]:
        return [reader(path) for reader in readers]

    place.python(PUBLISH.format(path="user.trial.*", text="Any {{ user.first_name }}"))
    assert rendered() == ["Any Ann"] * 2

    place.python(PUBLISH.format(path="user.trial.done", text="One {{ user.first_name }}"))
    assert rendered() == ["One Ann"] * 2

    place.python(PUBLISH.format(path="user.trial.done", text="Two {{ user.first_name }}"))
    assert rendered() == ["Two Ann"] * 2

    place.python(AGAIN.format(path="user.trial.done", action="rollback", more=""))
    assert rendered() == ["One Ann"] * 2

    place.python(AGAIN.format(path="user.trial.done", action="delete", more=""))
    assert rendered() == ["Any Ann"] * 2


def test_a_layout_reaches_its_dependants_when_they_are_published_again(
    place: Installation, readers: list[Reader]
) -> None:
    layout, page = "layouts.trial", "user.page"
    place.python(PUBLISH.format(path=layout, text="[{% block b %}{% endblock %}]"))
    child = "{% extends 'layouts.trial' %}{% block b %}{{ user.first_name }}{% endblock %}"
    place.python(PUBLISH.format(path=page, text=child))
    assert [reader(page) for reader in readers] == ["[Ann]"] * 2

    place.python(PUBLISH.format(path=layout, text="<{% block b %}{% endblock %}>"))
    assert [reader(page) for reader in readers] == ["[Ann]"] * 2  # a version stays with its layout

    place.python(AGAIN.format(path=layout, action="publish", more=", dependants=True"))
    assert [reader(page) for reader in readers] == ["<Ann>"] * 2


def test_workers_count_uses_and_the_command_shows_them(place: Installation) -> None:
    sent = place.carillon(
        "send", "user.payment.success", "--to", "student1", "--channel", "email",
        "--context", "amount=29.99",
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    place.python(
        "import asyncio\n"
        "from notifications.engine.worker import Worker\n"
        "asyncio.run(Worker().main(once=True))\n"
    )

    response = json.loads(place.carillon("templates", "usage", "user.payment", "--json").stdout)

    assert [(each["path"], each["channel"], each["count"]) for each in response["usage"]] == [
        ("user.payment.success", "email", 1)
    ]
    assert "user.payment.success" in place.carillon("templates", "usage").stdout
