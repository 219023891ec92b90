"""Templates: texts by channel and locale, in immutable published versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from django.db import models, transaction

from notifications.domain.references import references
from notifications.infra import clock

CONTENT_FIELDS = (
    "push_template",
    "email_subject_template",
    "email_body_template",
    "email_html_template",
    "sms_template",
    "websocket_template",
    "telegram_template",
    "in_app_template",
)
VERSIONED_FIELDS = (
    "content",
    "required_variables",
    "supported_channels",
    "default_locale",
    "pins",
)


class TemplateStatus(models.TextChoices):
    """Whether the row's own texts are the published ones."""

    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"


HEAD_COLUMNS = (
    "id",
    "path",
    "category_id",
    "default_priority",
    "is_active",
    "current_version_id",
)
"""The columns that sends read."""


class TemplateManager(models.Manager["NotificationTemplate"]):
    """Finds templates for sends."""

    def heads_of(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, NotificationTemplate]:
        """Returns the templates of rows of HEAD_COLUMNS by path, without their texts."""
        # `from_db` wants the values in the order of the model's fields.
        places = [HEAD_COLUMNS.index(name) for name in _in_order(self.model, HEAD_COLUMNS)]
        heads = (
            self.model.from_db(self.db, HEAD_COLUMNS, [row[at] for at in places]) for row in rows
        )
        return {head.path: head for head in heads}

    def current_versions(self, paths: Sequence[str]) -> dict[str, int]:
        """Returns the ids of the published versions at exactly these paths, active or not."""
        if not paths:
            return {}
        rows = self.filter(path__in=paths, current_version__isnull=False).order_by("path")
        return dict(rows.values_list("path", "current_version_id"))


def _in_order(model: type[models.Model], names: Sequence[str]) -> list[str]:
    return [each.attname for each in model._meta.concrete_fields if each.attname in names]


def all_texts(content: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Returns every text in every locale."""
    return [text for texts in content.values() for text in texts.values()]


def pins_of(content: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """Returns the current versions of the templates that the texts name, by path."""
    return NotificationTemplate.objects.current_versions(references(all_texts(content)))


class NotificationTemplate(models.Model):
    """A template by its dotted path. The row holds the draft; a version is what was published."""

    name = models.CharField(max_length=100, unique=True)
    path = models.CharField(max_length=200, unique=True)
    category = models.ForeignKey("notifications.Category", on_delete=models.PROTECT, null=True)
    default_priority = models.SmallIntegerField(default=3)
    supported_channels = models.JSONField(default=list, blank=True)
    required_variables = models.JSONField(default=list, blank=True)
    optional_variables = models.JSONField(default=list, blank=True)
    default_locale = models.CharField(max_length=20, default="en")
    push_template = models.TextField(blank=True)
    email_subject_template = models.TextField(blank=True)
    email_body_template = models.TextField(blank=True)
    email_html_template = models.TextField(blank=True)
    sms_template = models.TextField(blank=True)
    websocket_template = models.TextField(blank=True)
    telegram_template = models.TextField(blank=True)
    in_app_template = models.TextField(blank=True)
    translations = models.JSONField(default=dict, blank=True)  # {"ru": {"sms_template": ...}}
    example_context = models.JSONField(default=dict, blank=True)  # what previews are shown with
    status = models.CharField(
        max_length=9, choices=TemplateStatus.choices, default=TemplateStatus.PUBLISHED
    )
    current_version = models.ForeignKey(
        "notifications.TemplateVersion", on_delete=models.PROTECT, null=True, related_name="+"
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[TemplateManager] = TemplateManager()

    def __str__(self) -> str:
        return self.path

    def content(self) -> dict[str, dict[str, str]]:
        """Returns the texts by locale: the fields as the default locale, then the translations."""
        own = {name: getattr(self, name) for name in CONTENT_FIELDS if getattr(self, name)}
        return {self.default_locale: own, **self.translations}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the row. Changed texts of a published template become a new version at once."""
        with transaction.atomic():
            super().save(*args, **kwargs)
            if self.status == TemplateStatus.PUBLISHED and not self.is_current():
                self.publish()

    def is_current(self) -> bool:
        """Returns whether the draft is the current version; later layouts do not count."""
        draft = self._draft()
        current = self.current_version
        return bool(current) and all(getattr(current, name) == draft[name] for name in draft)

    def _draft(self) -> dict[str, Any]:
        return {
            "content": self.content(),
            "required_variables": self.required_variables,
            "supported_channels": self.supported_channels,
            "default_locale": self.default_locale,
        }

    def publish(self) -> TemplateVersion:
        """Publishes the row's texts as a new version. Unchanged texts create no version.

        The version is pinned to the current versions of the templates that its texts name.
        """
        self.status = TemplateStatus.PUBLISHED
        return self._publish({**self._draft(), "pins": pins_of(self.content())})

    def publish_again(self, old: TemplateVersion) -> TemplateVersion:
        """Publishes an old version's texts with their layouts again; the draft stays."""
        return self._publish({name: getattr(old, name) for name in VERSIONED_FIELDS})

    def pin_anew(self) -> TemplateVersion:
        """Publishes the current version's texts with the current versions of what they name."""
        assert self.current_version is not None
        made = {name: getattr(self.current_version, name) for name in VERSIONED_FIELDS}
        return self._publish({**made, "pins": pins_of(made["content"])})

    def _publish(self, made: dict[str, Any]) -> TemplateVersion:
        current = self.current_version
        if current and all(getattr(current, name) == value for name, value in made.items()):
            super().save(update_fields=["status", "updated_at"])
            return current
        with transaction.atomic():
            last = self.versions.order_by("-number").values_list("number", flat=True).first()
            version = TemplateVersion.objects.create(
                template=self, number=(last or 0) + 1, published_at=clock.now(), **made
            )
            TemplatePin.objects.bulk_create(
                TemplatePin(version=version, uses_id=key) for key in made["pins"].values()
            )
            self.current_version = version
            super().save(update_fields=["current_version", "status", "updated_at"])
        return version


class TemplateVersion(models.Model):
    """A published version. It never changes: a message keeps the version it was accepted with."""

    template = models.ForeignKey(
        NotificationTemplate, on_delete=models.CASCADE, related_name="versions"
    )
    number = models.PositiveIntegerField()
    content = models.JSONField()
    required_variables = models.JSONField(default=list)
    supported_channels = models.JSONField(default=list)
    default_locale = models.CharField(max_length=20, default="en")
    pins = models.JSONField(default=dict)  # {"layouts.mail": 12}: what its texts are built with
    published_at = models.DateTimeField()
    # The release (rendering/release.py) that rendered its example within the limits, if any did.
    proved_by = models.CharField(max_length=16, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="template_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.template.path} v{self.number}"


class TemplatePin(models.Model):
    """Records that a version uses another: protects the other, and finds its users."""

    version = models.ForeignKey(TemplateVersion, on_delete=models.CASCADE, related_name="+")
    uses = models.ForeignKey(TemplateVersion, on_delete=models.PROTECT, related_name="users")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "uses"], name="template_pin_once")
        ]

    def __str__(self) -> str:
        return f"{self.version_id} uses {self.uses_id}"
