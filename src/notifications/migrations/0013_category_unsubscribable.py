from django.db import migrations, models

TRANSACTIONAL = ("security", "payment", "system")


def keep_transactional(apps, schema_editor):
    """Nobody ends receipts and warnings of their account by a stray click in a mail program."""
    apps.get_model("notifications", "Category").objects.filter(key__in=TRANSACTIONAL).update(
        unsubscribable=False
    )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0012_template_pins")]

    operations = [
        migrations.AddField(
            model_name="category",
            name="unsubscribable",
            field=models.BooleanField(default=True),
        ),
        migrations.RunPython(keep_transactional, migrations.RunPython.noop),
    ]
