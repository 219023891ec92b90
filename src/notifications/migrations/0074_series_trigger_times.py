"""When the trigger of a person in a series happened: their goal counts from then on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0073_learned_hours")]

    operations = [
        migrations.AddField(
            model_name="seriesenrollment",
            name="triggered_at",
            field=models.DateTimeField(null=True),
        ),
    ]
