"""The Realtime Database through firebase-admin: blocking, for the writer's own thread."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from voice_server.errors import ConfigurationError, ServiceRejected, ServiceUnavailable
from voice_server.mirror.node import Leaves

SERVICE = "firebase"
SERVER_UID = "voice-server"  # the rules let nobody else write
_ROOT = "/live"
_TIMEOUT_S = 4.0
_SWEEP_MOST = 200  # nodes looked at and deleted in one request
_REFUSALS = (400, 401, 403, 404, 413)
_numbers = itertools.count(1)


class RealtimeDatabase:
    """The part below `/live`. Every method blocks for up to a few seconds.

    Raises `ServiceRejected` for what the database will not have, `ServiceUnavailable` for
    everything that may pass. Writes under the rules, as `voice-server`.
    """

    def __init__(
        self, url: str, credentials_file: Path | None = None, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Without credentials only a local emulator can be used: `http://HOST:PORT/?ns=NAME`."""
        import firebase_admin
        from firebase_admin import db
        from requests.adapters import HTTPAdapter

        self._firebase = firebase_admin
        options = {
            "databaseURL": url,
            "databaseAuthVariableOverride": {"uid": SERVER_UID},
            "httpTimeout": timeout_s,
        }
        if credentials_file is None and urlsplit(url).scheme == "https":
            raise ConfigurationError(
                "VOICE_SERVER_FIREBASE_CREDENTIALS: missing; a database at https:// needs the "
                "key file of a service account"
            )
        credential = None if credentials_file is None else certificate(credentials_file)
        name = f"voice-server-{next(_numbers)}"
        self._app = firebase_admin.initialize_app(credential, options, name=name)
        self._root = db.reference(_ROOT, app=self._app)
        # The SDK repeats requests for up to half a minute; when to try again is our decision.
        once = HTTPAdapter(max_retries=0)
        for scheme in ("http://", "https://"):
            self._root._client.session.mount(scheme, once)

    def write(self, updates: Leaves) -> None:
        """One atomic write of many paths; None deletes one."""
        with _mapped():
            self._root.update(updates)

    def check(self) -> None:
        """Read a little, which proves the address, the account and the rules."""
        with _mapped():
            self._root.get(shallow=True)

    def sweep(self, now_ms: int) -> int:
        """Delete nodes that have expired; returns how many."""
        with _mapped():
            tenants = self._root.get(shallow=True) or {}
            expired: Leaves = {}
            for tenant in sorted(tenants):
                query = self._root.child(tenant).order_by_child("expires_at").start_at(1)
                found = query.end_at(now_ms).limit_to_first(_SWEEP_MOST).get()
                expired.update({f"{tenant}/{call_id}": None for call_id in found or ()})
            if expired:
                self._root.update(expired)
        return len(expired)

    def close(self) -> None:
        """Close the connections."""
        self._firebase.delete_app(self._app)


def certificate(path: Path) -> Any:
    """The service account of a key file; raises `ConfigurationError`."""
    from firebase_admin import credentials

    try:
        return credentials.Certificate(str(path))
    except (OSError, ValueError):
        # The text may quote the key.
        raise ConfigurationError(
            "VOICE_SERVER_FIREBASE_CREDENTIALS: no readable key of a service account; "
            "download one in the Firebase console and give the path of the JSON file"
        ) from None


@contextmanager
def _mapped() -> Iterator[None]:
    """Vendor errors as ours. Their texts may hold what was written: only kinds are kept."""
    from firebase_admin.exceptions import FirebaseError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except FirebaseError as error:
        response = error.http_response
        status = getattr(response, "status_code", None)
        if status in _REFUSALS:
            raise ServiceRejected(SERVICE, f"refused with status {status}") from None
        raise ServiceUnavailable(SERVICE, f"{error.code}, status {status}") from None
    except GoogleAuthError as error:
        raise ServiceUnavailable(SERVICE, f"no access token: {type(error).__name__}") from None
    except ValueError as error:
        raise ServiceRejected(SERVICE, f"not writable: {type(error).__name__}") from None
