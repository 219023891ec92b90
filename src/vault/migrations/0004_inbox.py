"""The number by which a restored main database is recognised."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def _make_row(apps: Any, editor: Any) -> None:
    rows = apps.get_model("vault", "EventBeat").objects.using(editor.connection.alias)
    rows.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [
        ("vault", "0003_job_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventBeat",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("value", models.BigIntegerField(default=0)),
            ],
            options={
                "db_table": "vault_eventbeat",
            },
        ),
        migrations.RunPython(_make_row, migrations.RunPython.noop),
    ]
