"""Sessions in the database under a hash: the table does not allow a sign-in."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from notifications.infra.session_keys import stored_key
from notifications.models import SignIn


class SessionStore(db.SessionStore):
    """Django's own store with hashed row keys. Its salt depends on the name of this class."""

    def _get_session_from_db(self) -> Session | None:
        if self.session_key is None:
            return None
        key = stored_key(self.session_key)
        found = Session.objects.filter(session_key=key, expire_date__gt=timezone.now()).first()
        if found is None:
            self._session_key = None
        return found

    def exists(self, session_key: str) -> bool:
        return Session.objects.filter(session_key=stored_key(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        return Session(
            session_key=stored_key(str(self.session_key)),  # the callers have created a key
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
        )

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            Session.objects.filter(session_key=stored_key(key)).delete()

    def cycle_key(self) -> None:
        """Gives the session another key, in the row of its sign-in too."""
        before = self.session_key
        super().cycle_key()
        if before is not None:
            rows = SignIn.objects.filter(session_key=stored_key(before))
            rows.update(session_key=stored_key(str(self.session_key)))

    async def _aget_session_from_db(self) -> Session | None:
        return await sync_to_async(self._get_session_from_db)()

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return await sync_to_async(self.create_model_instance)(data)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)
