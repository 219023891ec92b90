"""The digest template, as an installation starts with it."""

from django.db import migrations
from django.utils import timezone

from notifications.rendering.digest_texts import PATH, template_fields, texts


def seed(apps, schema_editor):
    templates = apps.get_model("notifications", "NotificationTemplate")
    if templates.objects.filter(path=PATH).exists():
        return
    category = apps.get_model("notifications", "Category").objects.get(key="digest")
    fields = template_fields()
    template = templates.objects.create(category=category, **fields)
    template.current_version = apps.get_model("notifications", "TemplateVersion").objects.create(
        template=template,
        number=1,
        content={"en": texts("en"), "ru": texts("ru")},
        required_variables=fields["required_variables"],
        supported_channels=fields["supported_channels"],
        default_locale="en",
        published_at=timezone.now(),
    )
    template.save(update_fields=["current_version"])


class Migration(migrations.Migration):
    dependencies = [("notifications", "0005_refused_sends")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
