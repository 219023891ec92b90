"""Addresses of long ago get the form by which they are compared, a thousand rows a transaction.

What was written to stays beside it. Safe to repeat, and to break off: nothing is looked at twice
for longer than it takes to read it.
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
    """Only rows that still hold what was read are changed: somebody may write meanwhile."""
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
    """Where two rows mean one address, the older one stays."""
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
