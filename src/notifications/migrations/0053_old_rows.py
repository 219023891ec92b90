"""Notes which rows an older release wrote, so that `carillon keys seal` walks no others."""

from django.db import migrations

_TABLES = {
    "people": "directory_user",
    "search tokens": "directory_user",
    "contact points": "directory_contactpoint",
    "devices": "directory_device",
    "suppressions": "directory_suppression",
    "address proofs": "directory_addressproof",
    "notifications": "notifications_notification",
    "messages": "notifications_notificationmessage",
    "attempts": "notifications_deliveryattempt",
    "late results": "notifications_lateoutcome",
    "dead letters": "notifications_deadletter",
    "digest items": "notifications_digestitem",
    "sandbox messages": "notifications_sandboxmessage",
    "recipients": "notifications_broadcastrecipient",
    "broadcasts": "notifications_broadcast",
    "attachments": "notifications_storedattachment",
    "callbacks": "notifications_providercallback",
    "incoming texts": "notifications_inboundsms",
}
"""The tables that `carillon keys seal` walks, by the name of its work."""
_SENDERS = {
    "sqlite": "SELECT s.id, u.value FROM notifications_inboundsms s, json_each(s.users) u",
    "postgresql": "SELECT s.id, CAST(u.value AS bigint) FROM notifications_inboundsms s,"
    " jsonb_array_elements_text(s.users) AS u(value)",
}


def note_old_rows(apps, schema_editor):
    """Notes up to which key an older release has written each table."""
    progress = apps.get_model("notifications", "SealingProgress")
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        for work, table in _TABLES.items():
            cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608 -- constant
            progress.objects.create(work=work, last=cursor.fetchone()[0])
        cursor.execute(
            "INSERT INTO notifications_inboundsender (text_id, user_id) "
            + _SENDERS[connection.vendor]
        )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0052_sealed_cells"), ("directory", "0008_sealed_cells")]

    operations = [migrations.RunPython(note_old_rows, migrations.RunPython.noop)]
