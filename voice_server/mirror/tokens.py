"""Admission for a tenant's web client: its own calls, for a short time, and only to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from voice_server.mirror.database import certificate

_AUDIENCE = (
    "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"
)
EXCHANGE_S = 300  # to sign in with the token; Firebase allows an hour at most
_UID_MOST = 128


class WebTokens:
    """Signs custom tokens with the service account's key; asks nobody.

    The client signs in with the token (`signInWithCustomToken`). The rules let it read
    `/live/<tenant>` until `until`; then it needs another token, however often Firebase has
    refreshed its session.
    """

    def __init__(
        self,
        credentials_file: Path,
        *,
        access_s: int = 3600,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`access_s` is how long the client may read. Raises `ConfigurationError`."""
        self._certificate = certificate(credentials_file)
        self._access_s = access_s
        self._wall_clock = wall_clock

    def mint(self, tenant_id: str, user_id: str) -> str:
        """A token for one person of a tenant; raises ValueError for an empty or endless id."""
        # The prefix keeps everybody apart from the server's own uid.
        uid = f"web:{user_id}"
        if not tenant_id or not user_id or len(uid) > _UID_MOST:
            raise ValueError("a token needs a tenant and a user id of at most 124 characters")
        from google.auth import jwt

        now = int(self._wall_clock())
        email = self._certificate.service_account_email
        payload = {
            "iss": email,
            "sub": email,
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + EXCHANGE_S,
            "uid": uid,
            "claims": {"tenant_id": tenant_id, "until": (now + self._access_s) * 1000},
        }
        token: bytes = jwt.encode(self._certificate.signer, payload)  # type: ignore[no-untyped-call]
        return token.decode("ascii")
