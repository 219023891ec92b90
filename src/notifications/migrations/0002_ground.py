"""Seeded categories, the source of keys, and how PostgreSQL stores the hot tables."""

from django.db import migrations

CATEGORIES = (
    ("security", "contract", False, "resend"),
    ("payment", "contract", False, "resend"),
    ("course", "contract", False, "resend"),
    ("announcement", "contract", False, "resend"),
    ("marketing", "consent", True, "hold"),
    ("system", "contract", False, "resend"),
    ("digest", "contract", False, "resend"),
)

# Updates of a message or batch stay in their page (HOT) while the page has room for them.
POSTGRES = (
    "CREATE SEQUENCE IF NOT EXISTS notifications_key_seq INCREMENT BY 512 START WITH 1",
    "ALTER TABLE notifications_notificationmessage SET (fillfactor = 60)",
    "ALTER TABLE notifications_deliverybatch SET (fillfactor = 40, autovacuum_vacuum_scale_factor"
    " = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)",
)


def lay_ground(apps, schema_editor):
    category = apps.get_model("notifications", "Category")
    for key, basis, marketing, policy in CATEGORIES:
        category.objects.get_or_create(
            key=key,
            defaults={
                "name": key.capitalize(),
                "legal_basis": basis,
                "marketing": marketing,
                "crash_policy": policy,
            },
        )
    if schema_editor.connection.vendor == "sqlite":
        apps.get_model("notifications", "KeyCounter").objects.get_or_create(
            pk=1, defaults={"next_key": 1}
        )
    else:
        for statement in POSTGRES:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]
    operations = [migrations.RunPython(lay_ground, migrations.RunPython.noop)]
