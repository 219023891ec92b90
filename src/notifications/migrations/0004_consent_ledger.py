"""The consent ledger keeps its rows: the database itself refuses to change them."""

from django.db import migrations

POSTGRES = (
    """
    CREATE FUNCTION notifications_ledger_is_append_only() RETURNS trigger AS $$
    BEGIN RAISE EXCEPTION 'the consent ledger is append-only'; END $$ LANGUAGE plpgsql
    """,
    """
    CREATE TRIGGER consent_ledger_append_only BEFORE UPDATE OR DELETE
    ON notifications_consentrecord FOR EACH ROW
    EXECUTE FUNCTION notifications_ledger_is_append_only()
    """,
)
# SQLite has no TRUNCATE: a trigger on DELETE would stop `flush` as well.
SQLITE = (
    """
    CREATE TRIGGER consent_ledger_append_only BEFORE UPDATE ON notifications_consentrecord
    BEGIN SELECT RAISE(ABORT, 'the consent ledger is append-only'); END
    """,
)


def guard(apps, schema_editor):
    for statement in POSTGRES if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def release(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "DROP TRIGGER consent_ledger_append_only ON notifications_consentrecord"
        )
        schema_editor.execute("DROP FUNCTION notifications_ledger_is_append_only()")
    else:
        schema_editor.execute("DROP TRIGGER consent_ledger_append_only")


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_preferences")]
    operations = [migrations.RunPython(guard, release)]
