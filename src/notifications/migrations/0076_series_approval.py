"""A second person may have to release a series."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("notifications", "0075_campaigns_at_night"),
    ]

    operations = [
        migrations.AddField(
            model_name="mailseries",
            name="approval",
            field=models.CharField(
                choices=[
                    ("none", "none"),
                    ("requested", "requested"),
                    ("approved", "approved"),
                    ("rejected", "rejected"),
                ],
                db_default="none",
                default="none",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="mailseries",
            name="needs_approval",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="mailseries",
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
            model_name="mailseries",
            name="approved_contents",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="mailseries",
            name="requested",
            field=models.CharField(blank=True, db_default="", default="", max_length=8),
        ),
        migrations.AddField(
            model_name="mailseries",
            name="involved_user_ids",
            field=models.JSONField(
                blank=True,
                db_default=models.Value([], output_field=models.JSONField()),
                default=list,
            ),
        ),
        migrations.AddField(
            model_name="mailseries",
            name="review_note",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddIndex(
            model_name="mailseries",
            index=models.Index(
                condition=models.Q(("approval", "requested")),
                fields=["id"],
                name="mail_series_requested",
            ),
        ),
    ]
