"""The tables of the audit log: queue, leaves, nodes, head, checkpoints."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0044_plain_names"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("size", models.BigIntegerField(default=0)),
                ("origin", models.CharField(default="", max_length=300)),
                ("edge", models.BinaryField(default=b"")),
                ("signed_size", models.BigIntegerField(default=0)),
                ("signed_ms", models.BigIntegerField(default=0)),
                ("let_go_index", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="AuditNode",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("hash", models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name="AuditQueued",
            fields=[
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("entry", "A change that a person or a service made"),
                            ("slice", "The decisions of one recorded slice"),
                            ("retention", "Contents of older leaves are let go by age"),
                            ("erasure", "Contents about one person are let go"),
                        ],
                        max_length=9,
                    ),
                ),
                ("at_ms", models.BigIntegerField()),
                ("actor", models.CharField(max_length=60)),
                ("action", models.CharField(max_length=40)),
                ("target", models.CharField(blank=True, max_length=260)),
                ("subject_id", models.BigIntegerField(null=True)),
                ("first_message", models.BigIntegerField(null=True)),
                ("last_message", models.BigIntegerField(null=True)),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("data", models.BinaryField()),
            ],
            options={
                "verbose_name_plural": "queued audit entries",
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("size", models.BigIntegerField()),
                ("at_ms", models.BigIntegerField()),
                ("note", models.TextField()),
                ("hourly", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["size"], name="audit_checkpoint_size"),
                    models.Index(
                        condition=models.Q(("hourly", False)),
                        fields=["at_ms"],
                        name="audit_checkpoint_short",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditLeaf",
            fields=[
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("entry", "A change that a person or a service made"),
                            ("slice", "The decisions of one recorded slice"),
                            ("retention", "Contents of older leaves are let go by age"),
                            ("erasure", "Contents about one person are let go"),
                        ],
                        max_length=9,
                    ),
                ),
                ("at_ms", models.BigIntegerField()),
                ("actor", models.CharField(max_length=60)),
                ("action", models.CharField(max_length=40)),
                ("target", models.CharField(blank=True, max_length=260)),
                ("subject_id", models.BigIntegerField(null=True)),
                ("first_message", models.BigIntegerField(null=True)),
                ("last_message", models.BigIntegerField(null=True)),
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("data", models.BinaryField(null=True)),
                ("data_hash", models.BinaryField(null=True)),
                ("leaf_hash", models.BinaryField()),
                ("tag", models.BinaryField()),
            ],
            options={
                "verbose_name_plural": "audit leaves",
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("first_message__isnull", True)),
                        fields=["at_ms"],
                        name="audit_time",
                    ),
                    models.Index(
                        condition=models.Q(("first_message__isnull", True)),
                        fields=["actor", "number"],
                        name="audit_actor",
                    ),
                    models.Index(
                        condition=models.Q(("first_message__isnull", True)),
                        fields=["action", "number"],
                        name="audit_action",
                    ),
                    models.Index(
                        condition=models.Q(("first_message__isnull", True)),
                        fields=["target", "number"],
                        name="audit_target",
                    ),
                    models.Index(
                        condition=models.Q(("subject_id__isnull", False)),
                        fields=["subject_id", "number"],
                        name="audit_subject",
                    ),
                    models.Index(
                        condition=models.Q(("first_message__isnull", False)),
                        fields=["at_ms", "first_message", "last_message"],
                        name="audit_slice",
                    ),
                ],
            },
        ),
    ]
