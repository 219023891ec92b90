"""When the tokens of a person ended, and who may sign in while single sign-on is enforced."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("directory", "0009_staff_role")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="tokens_not_before",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="break_glass",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
