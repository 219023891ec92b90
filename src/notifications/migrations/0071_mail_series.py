"""Series of mails, the people in them, and what each was sent."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import notifications.infra.clock


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0070_campaigns"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="itemfault",
            name="work",
            field=models.CharField(
                choices=[
                    ("receipt", "A provider's callback is applied"),
                    ("digest", "A digest is sent"),
                    ("schedule", "The next occurrence of a series is made, in one zone"),
                    ("stuck", "A scheduled notification that waits in no batch is queued again"),
                    ("clean_up", "A cancelled notification is deleted"),
                    ("doubt", "A provider is asked about an uncertain dead letter"),
                    ("silence", "A provider is asked about a message without a receipt"),
                    ("webhook", "Status events are posted to an endpoint"),
                    ("broadcast_begin", "A scheduled broadcast begins"),
                    ("broadcast_launch", "A broadcast's messages are written"),
                    ("broadcast_requeue", "A broadcast's failed messages are queued again"),
                    ("broadcast_clear", "A cancelled broadcast's messages are cancelled"),
                    ("broadcast_count", "A broadcast's messages are counted"),
                    ("broadcast_pace", "A broadcast's rate is noted"),
                    ("broadcast_settle", "A broadcast is ended"),
                    ("campaign", "A campaign begins, or goes on"),
                    (
                        "mail_series",
                        "People of a series of mails are found, sent the next or let go",
                    ),
                    ("maintain", "A step of the upkeep is done; it is attempted every minute"),
                    (
                        "retain",
                        "Rows are emptied or deleted by their age; it is attempted every minute",
                    ),
                    ("erase", "A person's or an address's data is erased"),
                    ("export", "A part of the export of a person's data is written"),
                    ("expire", "Messages past their expiry time expire"),
                    ("snooze", "A person's snoozed notifications return to the inbox"),
                    ("broadcast_check", "A broadcast's counters are compared with its rows"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="MailSeries",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=100)),
                ("description", models.CharField(blank=True, max_length=1000)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("live", "live"),
                            ("paused", "paused"),
                            ("ended", "ended"),
                        ],
                        default="draft",
                        max_length=10,
                    ),
                ),
                (
                    "trigger",
                    models.CharField(
                        choices=[("list", "list"), ("event", "event"), ("date", "date")],
                        max_length=10,
                    ),
                ),
                ("list_id", models.BigIntegerField(blank=True, null=True)),
                ("event", models.CharField(blank=True, max_length=100)),
                ("attribute", models.CharField(blank=True, max_length=200)),
                ("offset_days", models.SmallIntegerField(default=0)),
                ("category", models.CharField(blank=True, max_length=50)),
                ("context", models.JSONField(blank=True, default=dict)),
                ("holdout_percent", models.FloatField(default=0.0)),
                ("reentry_days", models.SmallIntegerField(blank=True, null=True)),
                ("track_opens", models.BooleanField(blank=True, null=True)),
                ("track_clicks", models.BooleanField(blank=True, null=True)),
                ("version", models.SmallIntegerField(default=1)),
                ("is_test", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=notifications.infra.clock.now)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("launched_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("cleared", models.BooleanField(default=False)),
                ("scan_at", models.DateTimeField(blank=True, null=True)),
                ("scanned_day", models.DateField(blank=True, null=True)),
                ("scanned_after", models.BigIntegerField(default=0)),
                ("error", models.CharField(blank=True, max_length=500)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "goal",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="notifications.goal",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "mail series",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "live")),
                        fields=["id"],
                        name="mail_series_live",
                    ),
                    models.Index(
                        condition=models.Q(("status__in", ["live", "paused"]), ("trigger", "list")),
                        fields=["list_id"],
                        name="mail_series_of_list",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("status__in", ["live", "paused"]), ("trigger", "event")
                        ),
                        fields=["event"],
                        name="mail_series_of_event",
                    ),
                    models.Index(
                        condition=models.Q(("scan_at__isnull", False)),
                        fields=["scan_at"],
                        name="mail_series_to_scan",
                    ),
                    models.Index(
                        condition=models.Q(("cleared", False), ("status", "ended")),
                        fields=["id"],
                        name="mail_series_to_clear",
                    ),
                    models.Index(fields=["status", "id"], name="mail_series_by_status"),
                ],
            },
        ),
        migrations.CreateModel(
            name="MailSeriesVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.SmallIntegerField()),
                ("steps", models.JSONField()),
                ("created_at", models.DateTimeField(default=notifications.infra.clock.now)),
                (
                    "series",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="notifications.mailseries",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("series", "number"), name="mail_series_version_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SeriesEnrollment",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("version", models.SmallIntegerField()),
                ("entry", models.SmallIntegerField(default=1)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("completed", "completed"),
                            ("exited", "exited"),
                            ("held_out", "held_out"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("position", models.SmallIntegerField(default=0)),
                ("due_at", models.DateTimeField(null=True)),
                ("planned", models.BooleanField(default=False)),
                ("day", models.DateField(null=True)),
                ("entered_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("unsubscribed", "unsubscribed"),
                            ("goal_reached", "goal_reached"),
                            ("inactive", "inactive"),
                            ("blocked", "blocked"),
                            ("series_ended", "series_ended"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "series",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="enrollments",
                        to="notifications.mailseries",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)),
                        fields=["series", "due_at", "version", "position"],
                        name="series_enrollment_due",
                    ),
                    models.Index(fields=["series", "state", "id"], name="series_enrollment_state"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("series", "user", "entry"), name="series_entry_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SeriesHandover",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.SmallIntegerField()),
                ("notification_id", models.BigIntegerField()),
                ("at", models.DateTimeField(db_index=True)),
                (
                    "enrollment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="handovers",
                        to="notifications.seriesenrollment",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("enrollment", "position"), name="series_handover_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SeriesStepCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.SmallIntegerField()),
                ("position", models.SmallIntegerField()),
                ("result", models.CharField(max_length=20)),
                ("number", models.BigIntegerField(default=0)),
                (
                    "series",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="step_counts",
                        to="notifications.mailseries",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("series", "version", "position", "result"),
                        name="series_step_count_once",
                    )
                ],
            },
        ),
    ]
