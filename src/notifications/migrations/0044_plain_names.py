"""Plain names of models and fields, and plain labels. Tables and columns keep their names."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0043_renamed_codes"),
    ]

    operations = [
        migrations.AlterModelTable("broadcastnews", "notifications_broadcastnews"),
        migrations.RenameModel("BroadcastNews", "BroadcastChange"),
        migrations.AlterModelOptions("broadcastchange", {}),
        migrations.AlterModelTable("askedupto", "notifications_askedupto"),
        migrations.RenameModel("AskedUpTo", "ReceiptPollCursor"),
        migrations.AlterField(
            model_name="broadcast",
            name="hands",
            field=models.JSONField(
                db_column="hands",
                db_default=models.Value([], output_field=models.JSONField()),
                default=list,
                blank=True,
            ),
        ),
        migrations.RenameField("broadcast", "hands", "involved_user_ids"),
        migrations.AlterField(
            model_name="schedulemember",
            name="told",
            field=models.CharField(blank=True, db_column="told", max_length=16),
        ),
        migrations.RenameField("schedulemember", "told", "made_wall"),
        migrations.AlterField(
            model_name="itemfault",
            name="work",
            field=models.CharField(
                choices=[
                    ("receipt", "A provider's callback is applied"),
                    ("digest", "A digest is sent"),
                    ("schedule", "The next occurrence of a series is made, in one zone"),
                    ("stuck", "A scheduled notification that waits in no batch is queued again"),
                    ("clean_up", "A cancelled notification is deleted"),
                    ("doubt", "A provider is asked about an uncertain dead letter"),
                    ("silence", "A provider is asked about a message without a receipt"),
                    ("webhook", "Status events are posted to an endpoint"),
                    ("broadcast_begin", "A scheduled broadcast begins"),
                    ("broadcast_launch", "A broadcast's messages are written"),
                    ("broadcast_requeue", "A broadcast's failed messages are queued again"),
                    ("broadcast_clear", "A cancelled broadcast's messages are cancelled"),
                    ("broadcast_count", "A broadcast's messages are counted"),
                    ("broadcast_pace", "A broadcast's rate is noted"),
                    ("broadcast_settle", "A broadcast is ended"),
                    ("maintain", "A step of the upkeep is done; it is attempted every minute"),
                    ("expire", "Messages past their expiry time expire"),
                    ("broadcast_check", "A broadcast's counters are compared with its rows"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="webhookdelivery",
            name="state",
            field=models.CharField(
                choices=[
                    ("waiting", "Waiting"),
                    ("delivered", "Accepted with a 2xx"),
                    ("failed", "Every attempt failed"),
                ],
                default="waiting",
                max_length=10,
            ),
        ),
    ]
