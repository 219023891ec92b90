"""Mailing lists and who is on them."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("directory", "0012_sign_in")]

    operations = [
        migrations.CreateModel(
            name="SubscriberList",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=200, unique=True)),
                ("slug", models.SlugField(max_length=60, unique=True)),
                ("description", models.CharField(blank=True, max_length=1000)),
                ("is_public", models.BooleanField(default=False)),
                ("double_opt_in", models.BooleanField(default=True)),
                ("has_archive", models.BooleanField(default=False)),
                ("category", models.CharField(default="marketing", max_length=50)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_public", True)), fields=["id"], name="list_public"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ListMembership",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Asked to confirm by email"),
                            ("subscribed", "Subscribed"),
                            ("unsubscribed", "Unsubscribed"),
                        ],
                        max_length=12,
                    ),
                ),
                ("source", models.CharField(max_length=60)),
                ("consent_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField()),
                ("subscribed_at", models.DateTimeField(null=True)),
                ("unsubscribed_at", models.DateTimeField(null=True)),
                ("asked", models.SmallIntegerField(default=0)),
                ("asked_since", models.DateTimeField(null=True)),
                (
                    "list",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="directory.subscriberlist",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="list_memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["list", "state", "user"], name="list_membership_state")
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("list", "user"), name="list_membership_once")
                ],
            },
        ),
    ]
