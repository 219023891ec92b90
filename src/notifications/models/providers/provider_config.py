"""What operators set for a provider without a restart: it wins over the environment."""

from __future__ import annotations

from django.db import models

from notifications.models.fields import SealedJSONField


class ProviderConfig(models.Model):
    """The settings of one provider, by short name (`from`), as text. Encrypted: they are secrets.

    version rises with every change: whoever has the provider open opens it anew.
    """

    key = models.CharField(max_length=30, primary_key=True)
    settings = SealedJSONField(default=dict)
    version = models.IntegerField(default=1)
    updated_by = models.CharField(max_length=60)
    updated_at = models.DateTimeField()

    def given(self) -> dict[str, str]:
        """The settings, by short name."""
        return {str(name): str(text) for name, text in dict(self.settings).items()}

    def __str__(self) -> str:
        return f"settings of {self.key}"
