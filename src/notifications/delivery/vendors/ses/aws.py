"""Signs requests to AWS: credentials and signatures by botocore (the extra `ses`).

botocore signs, so that we implement no signature. Its client is not used, because it blocks a
thread for each call: our HTTP client sends the requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.session import Session

from notifications.domain.errors import CarillonError


class NoCredentials(CarillonError):
    """There are no AWS credentials: set CARILLON_SES_ACCESS_KEY_ID and _SECRET_ACCESS_KEY, or give
    the machine a role."""

    code = "auth"


class AwsSigner:
    """Signs requests to one service in one region.

    Without its own key it uses the credentials that AWS's usual chain finds (environment, profile,
    the role of the container or machine). It renews them before they expire.
    """

    def __init__(
        self, *, service: str, region: str, key_id: str = "", secret: str = "", token: str = ""
    ) -> None:
        self._service = service
        self._region = region
        self._found: Any = Credentials(key_id, secret, token or None) if key_id else None

    async def headers(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Returns the headers of a request, signed (Signature Version 4).

        Raises:
            NoCredentials: there are none.
        """
        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        SigV4Auth(await self._credentials(), self._service, self._region).add_auth(request)
        return dict(request.headers.items())

    async def _credentials(self) -> ReadOnlyCredentials:
        found = self._found
        if isinstance(found, Credentials) and type(found) is Credentials:
            frozen: ReadOnlyCredentials = found.get_frozen_credentials()
            return frozen
        return await asyncio.to_thread(self._load)  # reads files, or calls the container or machine

    def _load(self) -> ReadOnlyCredentials:
        if self._found is None:
            self._found = Session().get_credentials()
        if self._found is None:
            raise NoCredentials
        frozen: ReadOnlyCredentials = self._found.get_frozen_credentials()
        return frozen
