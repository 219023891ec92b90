"""What each page leaves to its reader, so that a test can run the page."""

from __future__ import annotations

from tests.docs.running.pages import Scenario

_CALLER = """
URL=$PAGE_URL
KEY=$(carillon key create "$(basename "$PAGE_FOLDER")" --scopes '*')
AUTH="Authorization: Bearer $KEY"
"""
"""The values of `$URL` and `$AUTH` on pages that say "as in the first calls"."""
_ROWS = "from tests.docs.running.rows import"

_FILES = """
printf 'username,email\\nnora,nora@example.com\\n' > people.csv
printf 'name,kind,members\\nReaders,class,nora\\n' > groups.csv
printf 'user,group\\nnora,Readers\\n' > members.csv
printf 'student,subject,teacher\\nstudent1,Mathematics,teacher1\\n' > lessons.csv
printf 'kind,address,reason\\nemail,gone@example.com,bounced\\n' > dead.csv
printf 'user,category\\nnora,\\n' > gone.csv
"""

_KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
_POSTGRES = "postgres://carillon:...@db/carillon"
_SERVICE = f"""
mkdir -p etc/systemd/system
export CARILLON_DATA_DIR=$PAGE_FOLDER/var
cat > etc/carillon.env <<END
CARILLON_PRODUCTION=true
CARILLON_SECRET_KEY={_KEY}
CARILLON_PUBLIC_URL=https://notify.example.com
CARILLON_TRUSTED_PROXIES=127.0.0.1
CARILLON_DATABASE_URL='{{database}}'
CARILLON_REDIS_URL={{redis}}
END
"""
"""The content of `/etc/carillon.env`, and the data folder of the units."""
_SERVICE_ACCOUNT = """
export CARILLON_PUSH_PROVIDER=fcm CARILLON_FCM_BASE_URL={hook} DEVICE_TOKEN=token-of-a-device
export CARILLON_FCM_CREDENTIALS=$PAGE_FOLDER/etc/carillon-fcm.json
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem
python3 -c 'import json; print(json.dumps({"project_id": "p", "client_email": "a@example.com",
"token_uri": "{hook}/token", "private_key": open("key.pem").read()}))' > $CARILLON_FCM_CREDENTIALS
"""
_TWILIO = """
export CARILLON_SMS_PROVIDER=twilio CARILLON_TWILIO_BASE_URL={hook}
export CARILLON_TWILIO_FROM=+15550006789
export CARILLON_TWILIO_ACCOUNT_SID=AC0123456789abcdef0123456789abcdef
"""
_WAIT = "until (: < /dev/tcp/127.0.0.1/{port}) 2> /dev/null; do sleep 0.05; done"
_SMTP = """
export CARILLON_SMTP_USER=ann CARILLON_SMTP_PASSWORD=secret
export CARILLON_EMAIL_PROVIDER=smtp CARILLON_SMTP_HOST=127.0.0.1 CARILLON_SMTP_PORT={smtp_port}
export CARILLON_EMAIL_FROM='Example <hello@example.com>' CARILLON_PUBLIC_URL=https://notify.example.com
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
        python="from notifications.delivery.vendors.sandbox.send import SandboxProvider\n"
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
        # The broadcast stays in the state `sending`, so that it can be paused.
        before="carillon kill-switch stop category announcement --reason 'a page'",
        rows=f"{_ROWS} awaiting_approval\nawaiting_approval(90001, 90002)\n",
        replaced={
            "/2/approve/": "/90001/approve/",
            "/2/reject/": "/90002/reject/",
            "$URL/1/": "$URL/$FIRST/",
        },
        after={
            '"target_group": "all_students",\n': "FIRST=$(response data.id)",
            "/2/reject/": "carillon kill-switch lift category announcement",
        },
    ),
    "docs/ab-tests.md": Scenario(
        before=_CALLER
        + """curl -X PUT $URL/api/v1/users/ext:p-90 -H "$AUTH" --json '{"username": "ada90","""
        """ "email": "ada90@example.org", "data_processing_consent": true}'\n""",
        replaced={"ext:p-7": "ext:p-90"},
        after={
            '"path": "shop.welcome"': "TEMPLATE=$(response id)",
            '"Shorter welcome"': "TEST=$(response id)",
            '"ext:p-7"': "ID=$(response id)",
        },
    ),
    "docs/people.md": Scenario(
        rows=f"{_ROWS} people\npeople(17)\n",
        before=_CALLER + _FILES,
        replaced={'"p-7", "username": "ada"': '"p-70", "username": "ada70"'},
    ),
    "docs/lists.md": Scenario(
        before=_CALLER, after={'"slug": "school-news"': "LIST=$(response id)"}
    ),
    "docs/campaigns.md": Scenario(
        before=_CALLER,
        after={
            '"name": "News of May"': "TEMPLATE=$(response id)",
            '"name": "Russian readers"': "SEGMENT=$(response id)",
            '"name": "May"': "CAMPAIGN=$(response id)",
            '"name": "May with a test"': "TESTED=$(response id)",
        },
    ),
    "docs/series.md": Scenario(
        before=_CALLER,
        after={
            '"path": "trial.first"': "TEMPLATE=$(response id)",
            '"name": "Trial"': "SERIES=$(response id)",
        },
    ),
    "docs/howto/add_a_provider.md": Scenario(),
    "docs/howto/first_calls.md": Scenario(
        after={
            '"path": "shop.order.shipped"': "TEMPLATE=$(response id)",
            "/bulk -H": "ID=$(response id -2) JOB=$(response job_id)",
            '"A-20"': "ID=$(response id)",
        },
    ),
    "docs/howto/back_up.md": Scenario(
        production=True,
        before=_SERVICE
        + "set -a; . etc/carillon.env; set +a; carillon admin create ada\n"
        + _FILES.replace("nora", "ada"),
        replaced={
            _POSTGRES.replace("db/carillon", "db/restored"): "'{restored}'",
            "CREATE DATABASE restored": "CREATE DATABASE {restored_name}",
        },
    ),
    "docs/howto/deploy.md": Scenario(
        production=True,
        needs=("openssl",),
        before=_SERVICE,
        replaced={
            "python3 -m venv": "mkdir -p",
            _POSTGRES: "'{database}'",
            "redis://redis:6379/0": "{redis}",
            "carillon-web.socket carillon-web\ncurl": "carillon-web.socket carillon-web\n"
            "activated run/carillon-web.sock\ncurl --retry 20 --retry-all-errors",
        },
    ),
    "docs/howto/fcm.md": Scenario(
        needs=("openssl",),
        before=_CALLER + _SERVICE_ACCOUNT,
        replaced={'"ext:p-7"': "2", '"external_id": "p-7"': '"user_id": 2'},
    ),
    "docs/howto/first_administrator.md": Scenario(),
    "docs/howto/single_sign_on.md": Scenario(before="carillon admin create hopper"),
    "docs/security/roles.md": Scenario(),
    "docs/howto/generate_a_client.md": Scenario(),
    "docs/howto/generate_a_typescript_client.md": Scenario(
        needs=("node",), installed="tests/clients/node_modules"
    ),
    "docs/howto/smtp.md": Scenario(needs=("openssl",), before=_SMTP),
    "docs/howto/twilio.md": Scenario(
        before=_CALLER + _TWILIO, replaced={"https://notify.example.com/sms": "{url}/sms"}
    ),
    "docs/howto/two_languages.md": Scenario(
        before=_CALLER, after={'"path": "school.lesson.moved"': "TEMPLATE=$(response id)"}
    ),
    "docs/howto/upgrade.md": Scenario(
        production=True, before=_SERVICE, replaced={"python3 -m venv": "mkdir -p"}
    ),
    "docs/howto/verify_webhooks.md": Scenario(
        needs=("node",),
        before=_CALLER,
        replaced={"9091": "{port}", "9092": "{other_port}"},
        after={
            ":9091/hook": "PYTHON=$(response id) SECRET=$(response secret)",
            ":9092/hook": "NODE=$(response id) SECRET=$(response secret)",
            "python3 receiver.py": _WAIT.format(port="{port}"),
            "node receiver.mjs": _WAIT.format(port="{other_port}"),
            "$PYTHON/test": '[ "$(response taken)" = True ]',
            "$NODE/test": '[ "$(response taken)" = True ]',
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
        + 'curl "$URL/api/v1/templates/$(response results.0.id)/versions" -H "$AUTH"\n'
        + 'STOPPED="$(response results.0.id)@key:$(carillon key list | tail -1 | cut -d " " -f1)"',
        replaced={"12@key:3": "$STOPPED"},
        after={
            "lift all": "carillon kill-switch lift template user.payment.success\n"
            "carillon kill-switch lift version $STOPPED"
        },
    ),
    "docs/simulation.md": Scenario(),
}
