"""How many recipients a broadcast had when it was approved."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0033_template_stops"),
    ]

    operations = [
        migrations.AddField(
            model_name="broadcast",
            name="approved_count",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
    ]
