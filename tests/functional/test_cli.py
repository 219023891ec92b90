"""The command line, as an operator uses it: real processes on their own installation."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request

import pytest

from notifications.testing.servers import SMTPSink
from tests.functional.installation import Installation, free_port, wait_until

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Installation:
    made = Installation(tmp_path_factory.mktemp("installation"), admin_password="demo-pass-1")
    made.prepare()
    assert made.carillon("demo", "--quiet").returncode == 0
    return made


def test_help_lists_every_command(place):
    text = place.carillon("--help").stdout
    for name in ("serve", "web", "worker", "beat", "migrate", "demo", "token", "send", "import"):
        assert name in text
    for name in ("doctor", "templates", "dead-letters", "kill-switch", "bench", "chaos", "docs"):
        assert name in text


def test_a_token_is_printed_and_nothing_else(place):
    for kind in ("jwt", "token", "api-key"):
        answer = place.carillon("token", "admin", "--kind", kind)
        assert (answer.returncode, len(answer.stdout.split())) == (0, 1)
    assert "no user 'unknown'" in place.carillon("token", "unknown").stderr
    assert (
        "no scope 'fly'"
        in place.carillon("token", "admin", "--kind", "api-key", "--scopes", "fly").stderr
    )


def test_a_refusal_is_one_clear_line(place):
    answer = place.carillon("send", "no.such.template", "--to", "student1", "--channel", "email")
    assert answer.returncode == 1
    assert "no.such.template" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_invalid_setting_is_reported_without_a_traceback(tmp_path):
    answer = Installation(tmp_path, smtp_port="eleven").carillon("migrate")
    assert answer.returncode == 2
    assert "CARILLON_SMTP_PORT is 'eleven': set it to a whole number" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_stops_are_listed_and_removed(place):
    assert place.carillon("kill-switch", "stop", "channel", "sms", "--reason", "x").returncode == 0
    assert "channel sms  x" in place.carillon("kill-switch", "list").stdout
    assert place.carillon("kill-switch", "lift", "channel", "sms").returncode == 0
    assert "nothing is stopped" in place.carillon("kill-switch", "list").stdout


def test_people_are_imported_and_bad_lines_are_reported_by_number(place, tmp_path):
    file = tmp_path / "people.csv"
    file.write_text("username,email\nnora,nora@example.com\nbad,not-an-address\n")
    answer = place.carillon("import", "users", str(file))
    assert answer.returncode == 1
    assert "line 3" in answer.stderr
    assert "1 created" in answer.stdout


def test_the_doctor_names_each_fault_and_its_fix(place):
    answer = place.carillon("doctor", "--json")
    findings = {each["name"]: each for each in json.loads(answer.stdout)["findings"]}
    assert findings["database"]["well"]
    assert not findings["workers"]["well"]
    assert "carillon worker" in findings["workers"]["fix"]
    assert answer.returncode == 1


def test_templates_are_checked_and_a_broken_one_fails_the_command(place):
    well = place.carillon("templates", "check", "--json")
    answer = json.loads(well.stdout)
    assert (well.returncode, answer["broken"]) == (0, 0)
    assert all(each["errors"] == [] for each in answer["templates"])
    place.python(
        "from notifications.models import NotificationTemplate\n"
        "NotificationTemplate.objects.create(name='Broken', path='broken.one', status='draft',\n"
        "    sms_template='one {{ two')\n"
    )
    broken = place.carillon("templates", "check", "broken")
    assert broken.returncode == 1
    assert (
        "broken.one  error    sms_template: sms_template (en), line 1, column 11" in broken.stdout
    )


def test_serve_delivers_and_drains(place):
    """Sends from a command to a real mail server, through the processes of `serve`."""
    with SMTPSink().run_in_thread() as sink:
        place.environ |= {
            "CARILLON_EMAIL_PROVIDER": "smtp",
            "CARILLON_SMTP_HOST": sink.host,
            "CARILLON_SMTP_PORT": str(sink.port),
        }
        port = free_port()
        with place.running("serve", "--port", str(port)) as serve:
            wait_until(lambda: _responds(f"http://127.0.0.1:{port}/health/ready"))
            sent = place.carillon(
                "send", "user.payment.success", "--to", "student1", "--channel", "email",
                "--context", "amount=29.99", "--json",
            )  # fmt: skip
            assert json.loads(sent.stdout)["status"] == "pending", sent.stderr
            wait_until(lambda: sink.count == 1)
            assert b"29.99" in sink.messages[0].content
            assert _responds(f"http://127.0.0.1:{port}/metrics")
            serve.send_signal(signal.SIGINT)
            assert serve.wait(60) == 0
    assert place.statuses() == {"sent": 1, "batches": 0}


def _responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_dead_letters_are_listed_replayed_and_discarded(tmp_path):
    """A template fails at send time: a division by zero."""
    place = Installation(tmp_path)
    place.prepare(demo=True)
    assert "no dead letters" in place.carillon("dead-letters", "list").stdout
    place.python(
        "from notifications.models import *\n"
        "from tests.integration.factories import make_messages\n"
        "make_messages(2, in_batch=False)\n"
        "NotificationMessage.objects.update(status='failed')\n"
        "for m in NotificationMessage.objects.all():\n"
        "    DeadLetter.objects.create(message_id=m.pk, notification_id=m.pk, channel='email',\n"
        "        code='busy', last_error='the server is busy', failed_at=m.scheduled_at)\n"
    )
    listed = place.carillon("dead-letters", "list", "--json")
    first, second = (each["id"] for each in json.loads(listed.stdout)["dead_letters"])
    assert "the server is busy" in place.carillon("dead-letters", "list").stdout
    assert "1 replayed" in place.carillon("dead-letters", "replay", str(first)).stdout
    gone = place.carillon("dead-letters", "discard", str(second), "--reason", "a test")
    assert "1 discarded" in gone.stdout
    assert "0 replayed" in place.carillon("dead-letters", "replay", "--all").stdout
    assert place.carillon("dead-letters", "replay").returncode == 2
