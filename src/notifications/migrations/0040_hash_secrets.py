"""Tokens and session keys that stand in the clear become hashes, a thousand rows at a time.

Whoever holds one goes on using it. There is no way back: nobody has the texts.
"""

import hashlib

from django.db import migrations
from django.db.models.functions import Length

AT_ONCE = 1_000


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def hash_tokens(apps, schema_editor):
    old = apps.get_model("authtoken", "Token").objects
    new = apps.get_model("notifications", "PersonToken").objects
    while rows := list(old.order_by("key")[:AT_ONCE]):
        new.bulk_create(new.model(user_id=row.user_id, key_hash=_hash(row.key)) for row in rows)
        old.filter(key__in=[row.key for row in rows]).delete()


def hash_sessions(apps, schema_editor):
    """A key in the clear has 32 characters, a hash 40."""
    sessions = apps.get_model("sessions", "Session").objects
    clear = sessions.annotate(length=Length("session_key")).filter(length=32)
    while keys := list(clear.values_list("session_key", flat=True)[:AT_ONCE]):
        for key in keys:
            sessions.filter(session_key=key).update(session_key=_hash(key)[:40])


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0039_person_token"),
        ("authtoken", "0004_alter_tokenproxy_options"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(hash_tokens, migrations.RunPython.noop),
        migrations.RunPython(hash_sessions, migrations.RunPython.noop),
    ]
