"""Campaigns, and broadcasts that send them."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import notifications.infra.clock


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0069_lists"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Campaign",
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
                            ("scheduled", "scheduled"),
                            ("running", "running"),
                            ("paused", "paused"),
                            ("completed", "completed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="draft",
                        max_length=10,
                    ),
                ),
                (
                    "approval",
                    models.CharField(
                        choices=[
                            ("none", "none"),
                            ("requested", "requested"),
                            ("approved", "approved"),
                            ("rejected", "rejected"),
                        ],
                        default="none",
                        max_length=10,
                    ),
                ),
                ("needs_approval", models.BooleanField(default=False)),
                ("audience", models.JSONField()),
                ("exclude", models.JSONField(blank=True, default=list)),
                ("template_path", models.CharField(max_length=200)),
                ("context", models.JSONField(blank=True, default=dict)),
                ("category", models.CharField(blank=True, max_length=50)),
                ("channels", models.JSONField()),
                (
                    "delivery",
                    models.CharField(
                        choices=[
                            ("all", "Every channel"),
                            ("first", "In order, until one takes it"),
                        ],
                        default="all",
                        max_length=5,
                    ),
                ),
                ("priority", models.SmallIntegerField(default=3)),
                ("scheduled_at", models.DateTimeField(blank=True, null=True)),
                ("local_time", models.CharField(blank=True, max_length=19)),
                (
                    "late_zones",
                    models.CharField(
                        choices=[("send_now", "send_now"), ("next_day", "next_day")],
                        default="send_now",
                        max_length=8,
                    ),
                ),
                ("begins_at", models.DateTimeField(blank=True, null=True)),
                ("per_minute", models.IntegerField(blank=True, null=True)),
                ("holdout_percent", models.FloatField(default=0.0)),
                ("track_opens", models.BooleanField(blank=True, null=True)),
                ("track_clicks", models.BooleanField(blank=True, null=True)),
                ("utm", models.JSONField(blank=True, default=dict)),
                ("approved_count", models.IntegerField(blank=True, null=True)),
                ("approved_version_id", models.BigIntegerField(blank=True, null=True)),
                ("approved_category", models.CharField(blank=True, max_length=50)),
                ("approved_digest", models.CharField(blank=True, max_length=64)),
                ("requested", models.CharField(blank=True, max_length=8)),
                ("involved_user_ids", models.JSONField(blank=True, default=list)),
                ("review_note", models.TextField(blank=True)),
                ("is_test", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=notifications.infra.clock.now)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                ("audience_count", models.IntegerField(default=0)),
                ("template_version_id", models.BigIntegerField(blank=True, null=True)),
                ("segment_criteria", models.JSONField(blank=True, default=dict)),
                ("held_out_count", models.IntegerField(default=0)),
                ("placed_after", models.BigIntegerField(default=0)),
                ("placed_done", models.BooleanField(default=False)),
                ("error", models.CharField(blank=True, max_length=500)),
            ],
        ),
        migrations.CreateModel(
            name="CampaignHoldout",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ],
        ),
        migrations.AddField(
            model_name="broadcast",
            name="options",
            field=models.JSONField(
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
                editable=False,
            ),
        ),
        migrations.AddField(
            model_name="broadcast",
            name="per_minute",
            field=models.IntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="broadcast",
            name="template_version_id",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="broadcast",
            name="throttled_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
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
        migrations.AddIndex(
            model_name="metricrollup",
            index=models.Index(fields=["source", "quarter"], name="metric_rollup_source"),
        ),
        migrations.AddField(
            model_name="campaign",
            name="approved_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="created_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="broadcast",
            name="campaign",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="broadcasts",
                to="notifications.campaign",
            ),
        ),
        migrations.AddField(
            model_name="campaignholdout",
            name="campaign",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="holdout",
                to="notifications.campaign",
            ),
        ),
        migrations.AddField(
            model_name="campaignholdout",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="campaign",
            index=models.Index(
                condition=models.Q(("status", "scheduled")),
                fields=["begins_at"],
                name="campaign_due",
            ),
        ),
        migrations.AddIndex(
            model_name="campaign",
            index=models.Index(
                condition=models.Q(("status", "running")), fields=["id"], name="campaign_live"
            ),
        ),
        migrations.AddIndex(
            model_name="campaign",
            index=models.Index(fields=["status", "id"], name="campaign_by_status"),
        ),
        migrations.AddConstraint(
            model_name="campaignholdout",
            constraint=models.UniqueConstraint(
                fields=("campaign", "user"), name="campaign_holdout_once"
            ),
        ),
    ]
