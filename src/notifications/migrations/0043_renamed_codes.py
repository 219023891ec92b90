"""Rewrites codes that were renamed, wherever a row stores one. Trails are translated on reading.

One pass over each table. The rows that hold an old code are few: failures, not deliveries.
"""

from django.db import migrations
from django.db.models import Case, CharField, TextField, Value, When

from notifications.domain.renamed_codes import RENAMED

COLUMNS = (
    ("MessageEvent", "reason"),
    ("DeliveryAttempt", "error_code"),
    ("StatusEvent", "code"),
    ("DeadLetter", "code"),
    ("DeadLetter", "last_error"),
    ("NotificationMessage", "last_error"),
    ("ProviderFlow", "last_fault_code"),
    ("BroadcastRecipient", "error"),
    ("BroadcastRecipient", "telegram_error"),
)


def rename_columns(apps, schema_editor):
    for name, column in COLUMNS:
        model = apps.get_model("notifications", name)
        texts = TextField() if name == "NotificationMessage" else CharField()
        cases = [When(**{column: old}, then=Value(new)) for old, new in RENAMED.items()]
        rows = model.objects.using(schema_editor.connection.alias)
        rows.filter(**{f"{column}__in": list(RENAMED)}).update(
            **{column: Case(*cases, output_field=texts)}
        )


def rename_in_broadcasts(apps, schema_editor):
    rows = apps.get_model("notifications", "Broadcast").objects
    rows = rows.using(schema_editor.connection.alias).only("error_log", "error_reasons")
    for row in rows.exclude(error_reasons={}).iterator(chunk_size=200):
        reasons = {}
        for code, count in row.error_reasons.items():
            current = RENAMED.get(code, code)
            reasons[current] = reasons.get(current, 0) + count
        entries = [
            {**entry, "error": RENAMED.get(entry.get("error"), entry.get("error"))}
            for entry in row.error_log
        ]
        if reasons != row.error_reasons or entries != row.error_log:
            row.error_reasons, row.error_log = reasons, entries
            row.save(update_fields=["error_reasons", "error_log"])


class Migration(migrations.Migration):
    dependencies = [("notifications", "0042_broadcast_filters")]

    operations = [
        migrations.RunPython(rename_columns, migrations.RunPython.noop),
        migrations.RunPython(rename_in_broadcasts, migrations.RunPython.noop),
    ]
