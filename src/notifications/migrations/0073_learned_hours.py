"""What is learned of people by hour of the week, and campaigns that are sent by it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import notifications.infra.clock


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0072_campaign_ab_tests"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="LearningDelta",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("changes", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="EngagementPrior",
            fields=[
                (
                    "channel",
                    models.CharField(max_length=10, primary_key=True, serialize=False),
                ),
                ("cells", models.BinaryField(default=b"")),
            ],
        ),
        migrations.CreateModel(
            name="EngagementHours",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("channel", models.CharField(max_length=10)),
                ("cells", models.BinaryField(default=b"")),
                (
                    "updated_at",
                    models.DateTimeField(db_index=True, default=notifications.infra.clock.now),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name_plural": "engagement hours"},
        ),
        migrations.AddConstraint(
            model_name="engagementhours",
            constraint=models.UniqueConstraint(
                fields=("user", "channel"), name="engagement_hours_once"
            ),
        ),
        migrations.AddField(
            model_name="broadcastrecipient",
            name="choice",
            field=models.TextField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="campaign",
            name="send_time",
            field=models.CharField(blank=True, db_default="", default="", max_length=7),
        ),
        migrations.AddField(
            model_name="campaign",
            name="send_window_hours",
            field=models.SmallIntegerField(db_default=24, default=24),
        ),
        migrations.AddField(
            model_name="campaign",
            name="channel_choice",
            field=models.CharField(blank=True, db_default="", default="", max_length=7),
        ),
        migrations.AddField(
            model_name="campaign",
            name="learning_holdout_percent",
            field=models.FloatField(db_default=10.0, default=10.0),
        ),
    ]
