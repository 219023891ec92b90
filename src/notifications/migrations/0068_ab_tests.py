"""A/B tests, and the indexes that their results read."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import notifications.infra.clock
import notifications.models.experiments.ab_test


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0067_dead_letter_times"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="NotificationABTest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("traffic_percentage", models.PositiveIntegerField(default=50)),
                (
                    "variants",
                    models.JSONField(
                        default=notifications.models.experiments.ab_test.default_variants
                    ),
                ),
                ("control", models.CharField(default="A", max_length=20)),
                ("holdout_percentage", models.PositiveIntegerField(default=0)),
                ("channel", models.CharField(default="email", max_length=10)),
                (
                    "metric",
                    models.CharField(
                        choices=[
                            ("open_rate", "Open rate"),
                            ("click_rate", "Click rate"),
                            ("conversion_rate", "Conversion rate"),
                        ],
                        default="click_rate",
                        max_length=50,
                    ),
                ),
                ("window_s", models.IntegerField(default=604800)),
                ("minimum_sample_size", models.PositiveIntegerField(default=1000)),
                ("confidence_level", models.FloatField(default=0.95)),
                ("expected_rate", models.FloatField(blank=True, null=True)),
                ("expected_lift", models.FloatField(blank=True, null=True)),
                ("is_automatic", models.BooleanField(default=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("running", "Running"),
                            ("paused", "Paused"),
                            ("completed", "Completed"),
                        ],
                        default="draft",
                        max_length=20,
                    ),
                ),
                ("in_force", models.BooleanField(default=False)),
                ("frozen", models.JSONField(blank=True, editable=False, null=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("winner_variant", models.CharField(blank=True, default="", max_length=20)),
                (
                    "ended_by",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("stopped", "Stopped"),
                            ("declared", "Declared"),
                            ("automatic", "Automatic"),
                        ],
                        db_default="",
                        default="",
                        max_length=10,
                    ),
                ),
                ("conclusion", models.TextField(blank=True, default="")),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                ("created_by", models.CharField(blank=True, default="", max_length=100)),
                ("created_at", models.DateTimeField(default=notifications.infra.clock.now)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "verbose_name": "A/B test",
            },
        ),
        migrations.RemoveField(
            model_name="notificationanalytics",
            name="ab_test_group",
        ),
        migrations.AddIndex(
            model_name="metricrollup",
            index=models.Index(
                condition=models.Q(("variant", ""), _negated=True),
                fields=["variant", "quarter"],
                name="metric_rollup_variant",
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("ab_test_id__isnull", False)),
                fields=["ab_test_id", "user"],
                name="notification_ab_test",
            ),
        ),
        migrations.AddIndex(
            model_name="notificationanalytics",
            index=models.Index(
                condition=models.Q(("variant", ""), _negated=True),
                fields=["variant"],
                name="analytics_variant",
            ),
        ),
        migrations.AddField(
            model_name="notificationabtest",
            name="goal",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="notifications.goal",
            ),
        ),
        migrations.AddField(
            model_name="notificationabtest",
            name="template",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="ab_tests",
                to="notifications.notificationtemplate",
            ),
        ),
        migrations.AddIndex(
            model_name="notificationabtest",
            index=models.Index(
                condition=models.Q(("is_automatic", True), ("status", "running")),
                fields=["looked_at"],
                name="ab_test_to_look_at",
            ),
        ),
        migrations.AddConstraint(
            model_name="notificationabtest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("in_force", True)),
                fields=("template",),
                name="ab_test_in_force",
            ),
        ),
    ]
