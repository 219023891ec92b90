"""The baseline of `bench email`: django-post_office on the same database.

It runs two processes of ten threads, with its own templates and command; nothing slows it down.
"""

from __future__ import annotations

import json
import os
import sys
import time

from carillon.settings.base import *  # noqa: F403 -- the same database and settings
from carillon.settings.base import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "post_office"]
EMAIL_BACKEND = "post_office.EmailBackend"
EMAIL_HOST = os.environ.get("CARILLON_SMTP_HOST", "127.0.0.1")
EMAIL_PORT = int(os.environ.get("CARILLON_SMTP_PORT", "25"))
POST_OFFICE = {
    "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
    "THREADS_PER_PROCESS": 10,
    "BATCH_SIZE": 5_000,
    "TEMPLATE_ENGINE": "django",
}
# It forks, and its children would share a pool of connections.
DATABASES["default"].get("OPTIONS", {}).pop("pool", None)


def main() -> None:
    """Queues and sends templated mails, rendered early and late; prints the seconds of each."""
    import django  # noqa: PLC0415 -- a process of its own, with these settings

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 -- after setup
    from post_office import models  # noqa: PLC0415 -- after setup

    from carillon.bench.harness.content import HTML, SUBJECT, TEXT  # noqa: PLC0415 -- after setup

    call_command("migrate", verbosity=0)
    models.EmailTemplate.objects.create(
        name="payment", subject=_plain(SUBJECT), content=_plain(TEXT), html_content=_plain(HTML)
    )
    count = int(sys.argv[1])
    print(json.dumps({"early": _measure(count, late=False), "late": _measure(count, late=True)}))


def _measure(count: int, *, late: bool) -> dict[str, float]:
    """Returns the seconds to queue `count` mails in one call and to send them, and the number sent.

    late: the template is rendered when the mail is sent (`render_on_delivery`), not when it is
    queued.
    """
    from django.core.management import call_command  # noqa: PLC0415 -- after setup
    from post_office import mail, models  # noqa: PLC0415 -- after setup

    models.Email.objects.all().delete()
    began = time.monotonic()
    mail.send_many(
        [
            {
                "recipients": [f"bench{n}@example.com"],
                "sender": "bench@example.com",
                "template": "payment",
                "context": {"user": {"first_name": f"Name{n}"}, "amount": "29.99"},
                "render_on_delivery": late,
            }
            for n in range(count)
        ]
    )
    queued = time.monotonic()
    call_command("send_queued_mail", processes=2, verbosity=0)
    ended = time.monotonic()
    sent = models.Email.objects.filter(status=models.STATUS.sent).count()
    return {"queue_s": queued - began, "send_s": ended - queued, "sent": sent}


def _plain(text: str) -> str:
    """Removes filters that Django's template language lacks; the amount is printed as it is."""
    return text.replace("|currency", "").replace("|default([])", "")


if __name__ == "__main__":
    main()
