from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("directory", "0003_address_proofs"),
    ]

    operations = [
        migrations.AddField(
            model_name="contactpoint",
            name="spelling",
            field=models.CharField(blank=True, db_default="", default="", max_length=1000),
        ),
    ]
