"""Ids of jobs come from the counter of messages from now on: it must be past all of them."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

_POSTGRES = (
    "SELECT setval('notifications_key_seq', greatest(nextval('notifications_key_seq'),"
    " (SELECT coalesce(max(id), 0) + 1 FROM notifications_job)))"
)
_SQLITE = (
    "UPDATE notifications_keycounter SET next_key = max(next_key,"
    " (SELECT coalesce(max(id), 0) + 1 FROM notifications_job))"
)


def _pass_jobs(apps: Any, editor: Any) -> None:
    editor.execute(_POSTGRES if editor.connection.vendor == "postgresql" else _SQLITE)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0054_job_key")]

    operations = [
        migrations.AlterField(
            model_name="job",
            name="id",
            field=models.BigAutoField(primary_key=True, serialize=False),
        ),
        migrations.RunPython(_pass_jobs, migrations.RunPython.noop),
    ]
