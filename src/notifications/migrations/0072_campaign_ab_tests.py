"""A/B tests inside campaigns, and one pace for all broadcasts of a campaign."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0071_mail_series")]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="ab_test",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="campaign",
            name="rest_released_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="campaign",
            name="throttled_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="broadcast",
            name="part",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=4
            ),
        ),
        migrations.AddField(
            model_name="notificationabtest",
            name="campaign_id",
            field=models.BigIntegerField(editable=False, null=True, unique=True),
        ),
    ]
