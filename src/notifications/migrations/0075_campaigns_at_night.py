"""Whether the learned hours of a campaign may be those of the night."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0074_series_trigger_times")]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="send_at_night",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
