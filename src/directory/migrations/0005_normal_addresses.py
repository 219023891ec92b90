"""Converts old addresses to the form by which addresses are compared, 1,000 rows a transaction.

The spelling that mails are sent to is stored beside it. The migration is safe to interrupt and to
repeat: a second run only reads the rows that are already converted.
"""

from django.db import migrations, transaction

from directory.addresses import normalise_address

AT_ONCE = 1_000


def _pages(rows):
    after = 0
    while page := list(rows.filter(pk__gt=after).order_by("pk")[:AT_ONCE]):
        after = page[-1].pk
        yield page


def normalise_points(apps, schema_editor):
    """Changes only rows that are still as they were read: another process may write meanwhile."""
    points = apps.get_model("directory", "ContactPoint").objects
    for page in _pages(points.only("kind", "address", "spelling")):
        with transaction.atomic():
            for point in page:
                normal = normalise_address(point.kind, point.address)
                if normal != point.address:
                    is_mail = point.kind == "email" and not point.spelling
                    points.filter(pk=point.pk, address=point.address).update(
                        address=normal, spelling=point.address if is_mail else point.spelling
                    )


def normalise_suppressions(apps, schema_editor):
    """Converts the suppression list; of two rows for one address, the older one stays."""
    listed = apps.get_model("directory", "Suppression").objects
    for page in _pages(listed.only("kind", "address")):
        with transaction.atomic():
            for row in page:
                normal = normalise_address(row.kind, row.address)
                if normal == row.address:
                    continue
                same = listed.filter(kind=row.kind, address=normal).order_by("pk").first()
                if same is None:
                    listed.filter(pk=row.pk).update(address=normal)
                elif same.pk < row.pk:
                    listed.filter(pk=row.pk).delete()
                else:
                    same.delete()
                    listed.filter(pk=row.pk).update(address=normal)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("directory", "0004_spelling"),
    ]

    operations = [
        migrations.RunPython(normalise_points, migrations.RunPython.noop),
        migrations.RunPython(normalise_suppressions, migrations.RunPython.noop),
    ]
