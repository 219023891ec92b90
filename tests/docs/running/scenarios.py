"""What each page leaves to its reader, so that a test can be that reader."""

from __future__ import annotations

from tests.docs.running.pages import Scenario

_CALLER = """
URL=$PAGE_URL
KEY=$(carillon key create "$(basename "$PAGE_FOLDER")" --scopes '*')
AUTH="Authorization: Bearer $KEY"
"""
"""What `$URL` and `$AUTH` are on pages that say "as in the first calls"."""
_ROWS = "from tests.docs.running.rows import"

_FILES = """
printf 'username,email\\nnora,nora@example.com\\n' > people.csv
printf 'name,kind,members\\nReaders,class,nora\\n' > groups.csv
printf 'user,group\\nnora,Readers\\n' > members.csv
printf 'student,subject,teacher\\nstudent1,Mathematics,teacher1\\n' > lessons.csv
printf 'kind,address,reason\\nemail,gone@example.com,bounced\\n' > dead.csv
printf 'user,category\\nnora,\\n' > gone.csv
"""

SCENARIOS: dict[str, Scenario] = {
    "README.md": Scenario(
        production=True,
        after={"notifications/send": "export CARILLON_DATA_DIR=$PAGE_FOLDER"},
        replaced={
            "CARILLON_SECRET_KEY=...": "CARILLON_SECRET_KEY=0123456789abcdefghijklmnopqrstuvwxyz",
            "postgres://carillon:...@db/carillon": "'{database}'",
            "redis://redis:6379/0": "{redis}",
            "mail.example.com": "127.0.0.1",
            "587": "{smtp_port}",
            "CARILLON_SMTP_USER=...": "CARILLON_SMTP_USER=ann",
            "CARILLON_SMTP_PASSWORD=...": "CARILLON_SMTP_PASSWORD=secret",
            "--host 0.0.0.0": "--host 127.0.0.1",
        },
    ),
    "docs/quickstart.md": Scenario(
        after={
            "carillon send": "ID=$(carillon send user.payment.success --to student1"
            " --channel email --context amount=1 | sed 's/.*: //')"
        },
        replaced={"/ID/": "/$ID/", "1025": "{smtp_port}"},
    ),
    "docs/email.md": Scenario(needs=("openssl",)),
    "docs/flow-control.md": Scenario(
        python="from notifications.delivery.providers.sandbox.outbox import SandboxProvider\n"
        "provider = SandboxProvider()\n",
    ),
    "docs/scheduling.md": Scenario(
        python="from datetime import timedelta\nfrom django.utils import timezone\n"
        "at = timezone.now() + timedelta(days=1)\n",
    ),
    "docs/status-webhooks.md": Scenario(
        before=_CALLER, replaced={"https://example.com/hooks/carillon": "{hook}/hooks/carillon"}
    ),
    "docs/audiences.md": Scenario(
        python="from django.utils import timezone\nnow = timezone.now()\n",
    ),
    "docs/broadcasts.md": Scenario(python=f"{_ROWS} a_broadcast\nbroadcast = a_broadcast()\n"),
    "docs/broadcasts-api.md": Scenario(
        # It stays under way, so that it can be paused.
        before="carillon kill-switch stop category announcement --reason 'a page'",
        rows=f"{_ROWS} awaiting_approval\nawaiting_approval(90001, 90002)\n",
        replaced={
            "/2/approve/": "/90001/approve/",
            "/2/reject/": "/90002/reject/",
            "$URL/1/": "$URL/$FIRST/",
        },
        after={
            '"target_group": "all_students",\n': "FIRST=$(answer data.id)",
            "/2/reject/": "carillon kill-switch lift category announcement",
        },
    ),
    "docs/people.md": Scenario(
        rows=f"{_ROWS} people\npeople(17)\n",
        before=_CALLER + _FILES,
        replaced={'"p-7", "username": "ada"': '"p-70", "username": "ada70"'},
    ),
    "docs/howto/add_a_provider.md": Scenario(),
    "docs/howto/first_calls.md": Scenario(
        after={
            '"path": "shop.order.shipped"': "TEMPLATE=$(answer id)",
            "/bulk -H": "ID=$(answer id -2) JOB=$(answer job_id)",
            '"A-20"': "ID=$(answer id)",
        },
    ),
    "docs/howto/replay_failed.md": Scenario(
        rows=f"{_ROWS} dead_letters\ndead_letters(17, 18, 19)\n"
    ),
    "docs/howto/resume_set_aside.md": Scenario(
        rows=f"{_ROWS} items_set_aside\nitems_set_aside(17, 18)\n"
    ),
    "docs/howto/stop_everything.md": Scenario(
        before=_CALLER
        + 'curl "$URL/api/v1/templates?path=user.payment.success" -H "$AUTH"\n'
        + 'curl "$URL/api/v1/templates/$(answer results.0.id)/versions" -H "$AUTH"\n'
        + "VERSION=$(answer results.0.id)",
        replaced={"12@key:3": "$VERSION@key:3"},
        after={
            "lift all": "carillon kill-switch lift template user.payment.success\n"
            "carillon kill-switch lift version $VERSION@key:3"
        },
    ),
}
