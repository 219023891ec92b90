"""Indexes of the list of broadcasts: by group, and by channel where the database has such."""

from django.conf import settings
from django.db import migrations, models

NAME = "broadcast_on_channel"


def index_channels(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            f"CREATE INDEX IF NOT EXISTS {NAME} ON notifications_broadcast"
            " USING gin (channels jsonb_path_ops)"
        )


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {NAME}")


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0041_throttle_count"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="broadcast",
            index=models.Index(
                fields=["target_group", "-created_at", "-id"], name="broadcast_of_group"
            ),
        ),
        migrations.RunPython(index_channels, drop_index),
    ]
