from django.db import migrations, models

_KINDS = [
    ("person", "Person"),
    ("address", "Address"),
    ("file", "File of several people"),
    ("job", "Bulk call"),
]


class Migration(migrations.Migration):
    dependencies = [("vault", "0002_sealed_cells")]

    operations = [
        migrations.AlterField(
            model_name=name, name="kind", field=models.CharField(choices=_KINDS, max_length=8)
        )
        for name in ("datakey", "erasedkey")
    ]
