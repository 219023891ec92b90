"""Counts of messages: deltas, rollups and their sums; goals, events of people, conversions."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone

import notifications.infra.clock
import notifications.models.fields


def _begin(apps: Any, schema_editor: Any) -> None:
    """Stores since when changes are counted; `carillon analytics rebuild` counts older ones."""
    state = apps.get_model("notifications", "MetricState")
    state.objects.using(schema_editor.connection.alias).get_or_create(
        pk=1, defaults={"counts_since": timezone.now()}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0065_tracking_choices"),
    ]

    operations = [
        migrations.CreateModel(
            name="Goal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
                ("event", models.CharField(db_index=True, max_length=100)),
                ("window_s", models.IntegerField(default=604800)),
                ("counts_opens", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=notifications.infra.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="MetricDelta",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("quarter", models.DateTimeField()),
                ("counts", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="MetricState",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("counts_since", models.DateTimeField()),
                ("recounted_to", models.BigIntegerField(default=0)),
                ("recounted_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="MetricRollup",
            fields=[
                ("sent", models.BigIntegerField(default=0)),
                ("delivered", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("bounced", models.BigIntegerField(default=0)),
                ("suppressed", models.BigIntegerField(default=0)),
                ("cancelled", models.BigIntegerField(default=0)),
                ("expired", models.BigIntegerField(default=0)),
                ("digested", models.BigIntegerField(default=0)),
                ("uncertain", models.BigIntegerField(default=0)),
                ("complained", models.BigIntegerField(default=0)),
                ("unsubscribed", models.BigIntegerField(default=0)),
                ("opened_human", models.BigIntegerField(default=0)),
                ("opened_machine", models.BigIntegerField(default=0)),
                ("opened_unknown", models.BigIntegerField(default=0)),
                ("clicked_human", models.BigIntegerField(default=0)),
                ("clicked_machine", models.BigIntegerField(default=0)),
                ("clicked_unknown", models.BigIntegerField(default=0)),
                ("converted", models.BigIntegerField(default=0)),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("quarter", models.DateTimeField()),
                ("channel", models.CharField(max_length=10)),
                ("template_id", models.BigIntegerField(default=0)),
                ("template_version_id", models.BigIntegerField(default=0)),
                ("provider", models.CharField(default="", max_length=30)),
                ("source", models.CharField(default="", max_length=60)),
                ("variant", models.CharField(default="", max_length=50)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=(
                            "quarter",
                            "channel",
                            "template_version_id",
                            "provider",
                            "source",
                            "variant",
                        ),
                        name="metric_rollup_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MetricSpan",
            fields=[
                ("sent", models.BigIntegerField(default=0)),
                ("delivered", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("bounced", models.BigIntegerField(default=0)),
                ("suppressed", models.BigIntegerField(default=0)),
                ("cancelled", models.BigIntegerField(default=0)),
                ("expired", models.BigIntegerField(default=0)),
                ("digested", models.BigIntegerField(default=0)),
                ("uncertain", models.BigIntegerField(default=0)),
                ("complained", models.BigIntegerField(default=0)),
                ("unsubscribed", models.BigIntegerField(default=0)),
                ("opened_human", models.BigIntegerField(default=0)),
                ("opened_machine", models.BigIntegerField(default=0)),
                ("opened_unknown", models.BigIntegerField(default=0)),
                ("clicked_human", models.BigIntegerField(default=0)),
                ("clicked_machine", models.BigIntegerField(default=0)),
                ("clicked_unknown", models.BigIntegerField(default=0)),
                ("converted", models.BigIntegerField(default=0)),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "grain",
                    models.CharField(choices=[("hour", "hour"), ("day", "day")], max_length=4),
                ),
                ("starts", models.DateTimeField()),
                ("channel", models.CharField(max_length=10)),
                ("template_id", models.BigIntegerField(default=0)),
            ],
            options={
                "indexes": [models.Index(fields=["starts"], name="metric_span_age")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("grain", "starts", "channel", "template_id"),
                        name="metric_span_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PersonEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.BigIntegerField()),
                ("name", models.CharField(max_length=100)),
                ("properties", notifications.models.fields.SealedJSONField(blank=True, null=True)),
                ("occurred_at", models.DateTimeField()),
                ("idempotency_key", models.CharField(max_length=200)),
                ("source", models.CharField(max_length=60)),
                (
                    "received_at",
                    models.DateTimeField(db_index=True, default=notifications.infra.clock.now),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user_id", "occurred_at"], name="person_event_of")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "idempotency_key"), name="person_event_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Conversion",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.BigIntegerField()),
                ("user_id", models.BigIntegerField()),
                ("occurred_at", models.DateTimeField(db_index=True)),
                ("message_id", models.BigIntegerField(null=True)),
                ("touched_at", models.DateTimeField(null=True)),
                (
                    "goal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="conversions",
                        to="notifications.goal",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user_id", "occurred_at"], name="conversion_of"),
                    models.Index(
                        condition=models.Q(("message_id__isnull", False)),
                        fields=["message_id"],
                        name="conversion_of_message",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("goal", "event_id"), name="conversion_once")
                ],
            },
        ),
        migrations.RunPython(_begin, migrations.RunPython.noop),
    ]
