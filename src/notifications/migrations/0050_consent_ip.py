"""The IP addresses of the consent ledger can be emptied, and nothing else can be changed."""

from django.db import migrations

_SAME = ("id", "user_id", "purpose", "granted", "wording", "source", "actor", "at")
POSTGRES = f"""
CREATE OR REPLACE FUNCTION notifications_ledger_is_append_only() RETURNS trigger AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.ip IS NULL AND
    ({", ".join(f"NEW.{name}" for name in _SAME)}) IS NOT DISTINCT FROM
    ({", ".join(f"OLD.{name}" for name in _SAME)})
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'the consent ledger is append-only';
END $$ LANGUAGE plpgsql
"""
SQLITE = f"""
CREATE TRIGGER consent_ledger_append_only BEFORE UPDATE ON notifications_consentrecord
WHEN NOT (NEW.ip IS NULL AND {" AND ".join(f'NEW."{name}" IS OLD."{name}"' for name in _SAME)})
BEGIN SELECT RAISE(ABORT, 'the consent ledger is append-only'); END
"""
POSTGRES_BEFORE = """
CREATE OR REPLACE FUNCTION notifications_ledger_is_append_only() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'the consent ledger is append-only'; END $$ LANGUAGE plpgsql
"""
SQLITE_BEFORE = """
CREATE TRIGGER consent_ledger_append_only BEFORE UPDATE ON notifications_consentrecord
BEGIN SELECT RAISE(ABORT, 'the consent ledger is append-only'); END
"""


def _replace(schema_editor, postgres, sqlite):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(postgres)
    else:
        schema_editor.execute("DROP TRIGGER consent_ledger_append_only")
        schema_editor.execute(sqlite)


def allow(apps, schema_editor):
    _replace(schema_editor, POSTGRES, SQLITE)


def refuse(apps, schema_editor):
    _replace(schema_editor, POSTGRES_BEFORE, SQLITE_BEFORE)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0049_data_export")]
    operations = [migrations.RunPython(allow, refuse)]
