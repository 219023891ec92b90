"""Tracking: evidence of requests for pixels and links, and the engagement with a message."""

import django.db.models.deletion
from django.db import migrations, models

import notifications.domain.engagement
import notifications.infra.clock
import notifications.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0063_presence"),
    ]

    operations = [
        migrations.CreateModel(
            name="NotificationAnalytics",
            fields=[
                (
                    "notification",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="analytics",
                        serialize=False,
                        to="notifications.notificationmessage",
                    ),
                ),
                ("queued_at", models.DateTimeField(default=notifications.infra.clock.now)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("delivered_at", models.DateTimeField(blank=True, null=True)),
                ("opened_at", models.DateTimeField(blank=True, null=True)),
                ("clicked_at", models.DateTimeField(blank=True, null=True)),
                ("converted_at", models.DateTimeField(blank=True, null=True)),
                ("opened_from_device", models.CharField(blank=True, default="", max_length=50)),
                ("opened_from_location", models.JSONField(blank=True, default=dict)),
                ("user_agent", models.TextField(blank=True, default="")),
                ("ab_test_group", models.CharField(blank=True, default="", max_length=50)),
                ("created_at", models.DateTimeField(default=notifications.infra.clock.now)),
                ("sent_quarter", models.DateTimeField(blank=True, null=True)),
                ("channel", models.CharField(blank=True, default="", max_length=10)),
                ("template_version_id", models.BigIntegerField(blank=True, null=True)),
                ("provider", models.CharField(blank=True, default="", max_length=30)),
                ("source", models.CharField(blank=True, default="", max_length=60)),
                ("variant", models.CharField(blank=True, default="", max_length=50)),
                ("flags", models.SmallIntegerField(default=0)),
                ("counted", models.SmallIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "notification analytics",
                "indexes": [
                    models.Index(fields=["sent_quarter"], name="analytics_quarter"),
                    models.Index(
                        condition=models.Q(("flags", models.F("counted")), _negated=True),
                        fields=["notification"],
                        name="analytics_uncounted",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TrackingEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("message_id", models.BigIntegerField()),
                ("notification_id", models.BigIntegerField()),
                ("user_id", models.BigIntegerField(null=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("open", "OPEN"), ("click", "CLICK"), ("honeypot", "HONEYPOT")],
                        max_length=8,
                    ),
                ),
                ("link", models.SmallIntegerField(null=True)),
                ("at", models.DateTimeField(db_index=True)),
                ("repeats", models.SmallIntegerField(default=1)),
                ("method", models.CharField(max_length=8)),
                ("facts", notifications.models.fields.SealedJSONField(blank=True, null=True)),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("human", "HUMAN"),
                            ("machine", "MACHINE"),
                            ("unknown", "UNKNOWN"),
                        ],
                        default=notifications.domain.engagement.Actor["UNKNOWN"],
                        max_length=7,
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=30)),
                ("classifier", models.SmallIntegerField(default=0)),
            ],
            options={
                "indexes": [models.Index(fields=["message_id", "id"], name="tracking_event_of")],
            },
        ),
    ]
