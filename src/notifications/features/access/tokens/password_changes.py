"""Ends sign-ins and tokens with each change of a password, however it is made."""

from __future__ import annotations

from django.utils.translation import gettext

from directory.models import User
from notifications.features.access.callers import forget_callers
from notifications.features.access.sign_in.sign_ins import end_everything
from notifications.infra import clock
from notifications.models import PersonToken, SignIn


class EndsSignIns:
    """A password validator that accepts every password: Django calls it when one has changed."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Accepts the password; the other validators check it."""

    def get_help_text(self) -> str:
        return gettext("It ends all your sessions and tokens.")

    def password_changed(self, password: str, user: User | None = None) -> None:
        """Ends everything of a person who has signed in before.

        Of one who has not, nothing ends, so that tokens of the platform stay valid for new users.
        """
        if user is None or user.pk is None:
            return
        rows = (SignIn.objects.filter(user=user), PersonToken.objects.filter(user=user))
        if user.last_login is not None or any(each.exists() for each in rows):
            end_everything(user, now=clock.now())
            forget_callers()
