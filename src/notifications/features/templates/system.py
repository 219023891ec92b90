"""The templates of the service's own mails: created when they are first needed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from notifications.domain.errors import NotFound
from notifications.models import Category, NotificationTemplate


def ensure_system_template(category: str, fields: Mapping[str, Any]) -> NotificationTemplate:
    """Returns the published template at a path; creates and publishes it where it is missing.

    Args:
        category: the key of its category.
        fields: its other fields, `path` among them. They count only where there is no row.

    Raises:
        NotFound: the category is missing.
    """
    rows = NotificationTemplate.objects.filter(path=fields["path"])
    published = rows.filter(current_version__isnull=False)
    found = published.first()
    if found is not None:
        return found
    owner = Category.objects.filter(key=category).first()
    if owner is None:
        raise NotFound(f"the category {category} is missing: run `carillon migrate`")
    try:
        with transaction.atomic():
            made = rows.first() or NotificationTemplate(
                category=owner, **{**fields, "name": _free_name(fields["name"])}
            )
            made.save()
            made.publish()
            return made
    except IntegrityError:  # another process created it at the same time
        return published.get()


def _free_name(name: str) -> str:
    """Returns the name, or another one where a template at a different path has it.

    Otherwise a caller who takes the name first would stop the mail.
    """
    taken = NotificationTemplate.objects.filter(name=name).exists()
    return f"{name} {secrets.token_hex(4)}" if taken else name
