"""Sign-ins: a session of a browser, or a family of tokens that one sign-in began."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models

AGENT_LENGTH = 200


class SignInManager(models.Manager["SignIn"]):
    """Finds the sign-ins that have not ended."""

    def live(self, now: datetime) -> models.QuerySet[SignIn]:
        """Returns the sign-ins that are valid at a time."""
        return self.filter(expires_at__gt=now)

    def locked(self, key: int, now: datetime) -> SignIn | None:
        """Returns a live sign-in, locked until the caller's transaction ends; None without."""
        return self.live(now).select_for_update().filter(pk=key).first()


class SignIn(models.Model):
    """One sign-in of a person. The row is deleted when it ends, and with it all access by it."""

    class Kind(models.TextChoices):
        SESSION = "session", "A session of a browser"
        TOKENS = "tokens", "A family of tokens"

    class Method(models.TextChoices):
        PASSWORD = "password", "Password"
        PASSKEY = "passkey", "Passkey"
        SINGLE_SIGN_ON = "single_sign_on", "Single sign-on"
        OPERATOR = "operator", "Command line"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins"
    )
    kind = models.CharField(max_length=7, choices=Kind.choices)
    method = models.CharField(max_length=14, choices=Method.choices)
    #: Whether a second factor was verified in it.
    second_factor = models.BooleanField(default=False)
    #: The key of the session's row; null for tokens.
    session_key = models.CharField(max_length=40, null=True, unique=True)
    #: Changes with the password of the user, and ends the sign-in with it.
    password_mark = models.CharField(max_length=16)
    #: How often the refresh token was exchanged.
    generation = models.IntegerField(default=0)
    rotated_at = models.DateTimeField(null=True)
    #: The address of the client; empty where it is unknown.
    address = models.CharField(max_length=45, blank=True)
    agent = models.CharField(max_length=AGENT_LENGTH, blank=True)
    created_at = models.DateTimeField()
    #: To five minutes.
    seen_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    objects: ClassVar[SignInManager] = SignInManager()

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} of user {self.user_id}"

    def facts(self) -> dict[str, Any]:
        """Returns what the audit log says of it: no address and no agent."""
        return {"kind": self.kind, "method": self.method, "second_factor": self.second_factor}
