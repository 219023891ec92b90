"""The inbox: arrivals, changes, counters of positions, and the epoch."""

from __future__ import annotations

import secrets
from typing import Any

import django.db.models.deletion
from django.db import migrations, models

import notifications.models.fields

_PACKING = (
    # Counters are updated with each arrival, and arrivals when they are read: on their own page.
    "ALTER TABLE notifications_inboxcounter SET (fillfactor = 50)",
    "ALTER TABLE notifications_inboxarrival SET (fillfactor = 90)",
)


def _prepare(apps: Any, editor: Any) -> None:
    apps.get_model("notifications", "InboxEpoch").objects.get_or_create(
        pk=1, defaults={"epoch": secrets.token_hex(4)}
    )
    if editor.connection.vendor == "postgresql":
        for statement in _PACKING:
            editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0060_sign_in"),
    ]

    operations = [
        migrations.CreateModel(
            name="InboxCounter",
            fields=[
                ("user_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(db_default=0, default=0)),
                ("unread", models.IntegerField(db_default=0, default=0)),
                ("floor", models.BigIntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.CreateModel(
            name="InboxEpoch",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("epoch", models.CharField(max_length=16)),
                ("beat", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="InboxArrival",
            fields=[
                (
                    "notification",
                    models.OneToOneField(
                        db_column="id",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="arrival",
                        serialize=False,
                        to="notifications.notification",
                    ),
                ),
                ("uuid", notifications.models.fields.PublicIdField(editable=False)),
                ("user_id", models.BigIntegerField()),
                ("seq", models.BigIntegerField()),
                ("category_id", models.BigIntegerField()),
                ("priority", models.SmallIntegerField(default=3)),
                ("content", notifications.models.fields.SealedJSONField(blank=True, null=True)),
                ("arrived_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField(null=True)),
                ("read_at", models.DateTimeField(null=True)),
                ("archived_at", models.DateTimeField(null=True)),
                ("snoozed_until", models.DateTimeField(null=True)),
                ("retracted_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("snoozed_until__isnull", False)),
                        fields=["snoozed_until"],
                        name="inbox_arrival_snoozed",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("user_id", "seq"), name="inbox_arrival_place")
                ],
            },
        ),
        migrations.CreateModel(
            name="InboxChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.BigIntegerField()),
                ("seq", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("read", "Read"),
                            ("unread", "Unread"),
                            ("read_all", "All read"),
                            ("archived", "Archived"),
                            ("unarchived", "Unarchived"),
                            ("snoozed", "Snoozed"),
                            ("returned", "Returned from a snooze"),
                            ("retracted", "Retracted by the sender"),
                            ("amended", "Amended by the sender"),
                            ("preferences", "Preferences changed"),
                        ],
                        max_length=12,
                    ),
                ),
                ("terms", models.JSONField(default=dict)),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user_id", "seq"), name="inbox_change_place")
                ],
            },
        ),
        migrations.RunPython(_prepare, migrations.RunPython.noop),
    ]
