"""Everybody who was staff may do everything, as before: they become administrators."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models import Q


def make_administrators(apps: Any, schema_editor: Any) -> None:
    users = apps.get_model("directory", "User")
    rows = models.QuerySet(users, using=schema_editor.connection.alias)
    staff = rows.filter(Q(is_staff=True) | Q(is_superuser=True))
    staff.update(staff_role="admin", is_staff=True, is_superuser=True)


class Migration(migrations.Migration):
    dependencies = [
        ("directory", "0008_sealed_cells"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="staff_role",
            field=models.CharField(
                blank=True,
                choices=[
                    ("admin", "Administrator"),
                    ("operator", "Operator"),
                    ("author", "Author"),
                    ("analyst", "Analyst"),
                ],
                editable=False,
                max_length=10,
                null=True,
            ),
        ),
        migrations.RunPython(make_administrators, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                condition=models.Q(("staff_role__isnull", False)),
                fields=["id"],
                name="directory_staff",
            ),
        ),
    ]
