from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0066_analytics"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(fields=["failed_at"], name="dead_letter_failed"),
        ),
    ]
