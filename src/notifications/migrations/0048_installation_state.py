"""The row without which no process sends: a backup does not contain it."""

from typing import Any

from django.db import migrations, models
from django.utils import timezone


def settle(apps: Any, schema_editor: Any) -> None:
    state = apps.get_model("notifications", "InstallationState")
    if not state.objects.exists():
        state.objects.create(pk=1, settled_at=timezone.now())


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0047_erasure"),
    ]

    operations = [
        migrations.CreateModel(
            name="InstallationState",
            fields=[
                (
                    "id",
                    models.SmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("settled_at", models.DateTimeField()),
                ("backup_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RunPython(settle, migrations.RunPython.noop),
    ]
