"""Broadcasts to mailing lists."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0068_ab_tests"),
        ("directory", "0013_lists"),
    ]

    operations = [
        migrations.AlterField(
            model_name="broadcast",
            name="target_group",
            field=models.CharField(
                choices=[
                    ("all", "Everyone"),
                    ("all_students", "All students"),
                    ("all_teachers", "All teachers"),
                    ("all_tutors", "All tutors"),
                    ("all_parents", "All parents"),
                    ("by_subject", "By subject"),
                    ("by_tutor", "By tutor"),
                    ("by_teacher", "By teacher"),
                    ("group", "Group"),
                    ("list", "Mailing list"),
                    ("segment", "Segment"),
                    ("custom", "Custom list"),
                    ("composed", "Several groups"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="broadcast",
            name="list_id",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="broadcast",
            name="in_archive",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddIndex(
            model_name="broadcast",
            index=models.Index(
                condition=models.Q(("in_archive", True)),
                fields=["list_id", "-id"],
                name="broadcast_in_archive",
            ),
        ),
    ]
