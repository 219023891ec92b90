"""Which categories may be tracked, and which people allow it."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

NEVER = ("security", "system")
"""Their mails carry links that sign in their reader."""


def _exclude(apps: Any, editor: Any) -> None:
    apps.get_model("notifications", "Category").objects.filter(key__in=NEVER).update(
        trackable=False
    )


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0064_tracking"),
    ]

    operations = [
        migrations.AddField(
            model_name="category",
            name="trackable",
            field=models.BooleanField(db_default=True, default=True),
        ),
        migrations.AddField(
            model_name="usernotificationpreference",
            name="tracking_enabled",
            field=models.BooleanField(db_default=True, default=True),
        ),
        migrations.RunPython(_exclude, migrations.RunPython.noop),
    ]
