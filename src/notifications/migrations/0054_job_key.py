from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0053_old_rows")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="key_id",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("key_id__isnull", False)), fields=["key_id"], name="job_key"
            ),
        ),
    ]
