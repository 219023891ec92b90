"""Tokens of users: a user may have several; only hashes are stored."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver
from rest_framework.authtoken.models import Token, TokenProxy

from notifications.infra.crypto import secret_hash

_CLEAR = "_clear_text"


class PersonToken(models.Model):
    """The hash of a user's token for `Authorization: Token ...`. Its text was shown once."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="person_tokens"
    )
    key_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"token {self.pk} of user {self.user_id}"


@receiver(pre_save, sender=Token)
@receiver(pre_save, sender=TokenProxy)
def _hide_text(sender: type[Token], instance: Token, raw: bool = False, **_: Any) -> None:
    """Replaces the text by a hash: Django REST framework's own rows would store the text."""
    if instance._state.adding and not raw:
        vars(instance)[_CLEAR] = instance.key
        instance.key = secret_hash(instance.key)[:40]


@receiver(post_save, sender=Token)
@receiver(post_save, sender=TokenProxy)
def _store_hash(sender: type[Token], instance: Token, raw: bool = False, **_: Any) -> None:
    """Turns a token of the framework into one of ours; its text stays only in memory."""
    text = vars(instance).pop(_CLEAR, None)
    if raw or text is None:
        return
    PersonToken.objects.create(user_id=instance.user_id, key_hash=secret_hash(text))
    Token.objects.filter(key=instance.key).delete()
    instance.key = text
