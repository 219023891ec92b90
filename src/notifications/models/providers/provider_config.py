"""Settings of a provider that operators change without a restart; they override the environment."""

from __future__ import annotations

from django.db import models

from notifications.models.fields import SealedJSONField


class ProviderConfig(models.Model):
    """The settings of one provider, as text. Encrypted, because they hold secrets."""

    key = models.CharField(max_length=30, primary_key=True)
    #: By short name, e.g. `from`.
    settings = SealedJSONField(default=dict)
    #: Rises with every change: a process that has the provider open then opens it again.
    version = models.IntegerField(default=1)
    updated_by = models.CharField(max_length=60)
    updated_at = models.DateTimeField()

    def given(self) -> dict[str, str]:
        """Returns the settings, by short name."""
        return {str(name): str(text) for name, text in dict(self.settings).items()}

    def __str__(self) -> str:
        return f"settings of {self.key}"
