"""Why a step of a series is, or was, due at a learned hour."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0076_series_approval")]

    operations = [
        migrations.AddField(
            model_name=name,
            name="choice",
            field=models.CharField(blank=True, db_default="", default="", max_length=400),
        )
        for name in ("seriesenrollment", "serieshandover")
    ]
