"""Seals the keys of tenants, so that the database alone gives none of them away.

A sealed key reads `v1:<id of the master key>:<base64 of nonce and ciphertext>` (AES-256-GCM).
Tenant, provider and the id are authenticated with it: a row that was moved to another tenant
does not open. Sealing and fingerprints use different keys, both derived from the master key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from voice_server.errors import VoiceServerError
from voice_server.provider_settings import Provider

_FORMAT: Final = "v1"
_NONCE_BYTES: Final = 12
_MASTER_BYTES: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HOW: Final = "write it as ID:KEY, where KEY comes from `openssl rand -base64 32`"


class RingUnreadable(ValueError):
    """The text of a key ring is malformed; the message quotes nothing of it."""


class SealBroken(VoiceServerError):
    """A sealed key does not open: altered, moved, or its master key is not in the ring."""


class _Master(NamedTuple):
    id: str
    cipher: AESGCM
    fingerprints: bytes

    def __repr__(self) -> str:
        return f"_Master({self.id})"


class KeyRing:
    """The master keys by age: the newest seals, all of them open."""

    __slots__ = ("_masters", "_newest")

    def __init__(self, masters: tuple[_Master, ...]) -> None:
        """Made by `parse`."""
        self._masters = {master.id: master for master in masters}
        self._newest = masters[0]

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._masters)})"

    @classmethod
    def parse(cls, text: SecretStr) -> KeyRing:
        """Read `id:base64,...`, newest first. Raises `RingUnreadable`."""
        entries = [entry.strip() for entry in text.get_secret_value().split(",")]
        masters = tuple(_master(entry, at) for at, entry in enumerate(entries, start=1))
        if len({master.id for master in masters}) < len(masters):
            raise RingUnreadable("two keys have the same id; give each its own")
        return cls(masters)

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return self._newest.id

    def seal(self, key: SecretStr, user_id: str, provider: Provider) -> str:
        """The text for `api_key_encrypted`; another one each time."""
        master, nonce = self._newest, os.urandom(_NONCE_BYTES)
        bound = _bound(master.id, user_id, provider)
        sealed = nonce + master.cipher.encrypt(nonce, key.get_secret_value().encode(), bound)
        return f"{_FORMAT}:{master.id}:{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, user_id: str, provider: Provider) -> SecretStr:
        """What was sealed for this tenant and provider. Raises `SealBroken`."""
        version, _, rest = sealed.partition(":")
        master_id, _, encoded = rest.partition(":")
        if version != _FORMAT or not _ID.fullmatch(master_id):
            raise SealBroken("a stored key is not in our format; add the key again")
        master = self._masters.get(master_id)
        if master is None:
            raise SealBroken(
                f"a stored key is sealed under {master_id}, which is not in "
                "VOICE_SERVER_VAULT_KEYS; put it back at the end, then rotate"
            )
        try:
            raw = base64.b64decode(encoded, validate=True)
            bound = _bound(master.id, user_id, provider)
            opened = master.cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):  # ValueError: no base64, or shorter than a nonce
            raise SealBroken(
                "a stored key was altered or belongs to another tenant or provider; "
                "add the key again"
            ) from None
        return SecretStr(opened.decode())

    def is_current(self, sealed: str) -> bool:
        """Whether the newest key sealed it."""
        return sealed.startswith(f"{_FORMAT}:{self._newest.id}:")

    def fingerprint(self, key: SecretStr, user_id: str, provider: Provider) -> str:
        """The text for `api_key_hash`: tells whether a tenant's key is the same, and no more.

        The same key of another tenant has another one, so the table links nobody.
        """
        return _fingerprint(self._newest, key, user_id, provider)

    def is_same(self, fingerprint: str, key: SecretStr, user_id: str, provider: Provider) -> bool:
        """Whether a stored fingerprint is of this key; False where its master key is gone."""
        master = self._masters.get(fingerprint.partition(":")[0])
        if master is None:
            return False
        expected = _fingerprint(master, key, user_id, provider)
        return hmac.compare_digest(expected.encode(), fingerprint.encode())


def _master(entry: str, number: int) -> _Master:
    master_id, colon, encoded = entry.partition(":")
    if not colon or not _ID.fullmatch(master_id):
        raise RingUnreadable(
            f"key {number} has no id of 1 to 32 letters, digits, - and _ before a colon; {_HOW}"
        )
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise RingUnreadable(f"key {number} is not base64; {_HOW}") from None
    if len(raw) != _MASTER_BYTES:
        raise RingUnreadable(f"key {number} has {len(raw)} bytes, wanted 32; {_HOW}")
    return _Master(master_id, AESGCM(_derive(raw, b"seal")), _derive(raw, b"fingerprint"))


def _derive(master: bytes, purpose: bytes) -> bytes:
    info = b"voice-server vault v1 " + purpose
    return HKDF(SHA256(), length=_MASTER_BYTES, salt=None, info=info).derive(master)


def _bound(master_id: str, user_id: str, provider: Provider) -> bytes:
    """What a seal or fingerprint is about, without two readings."""
    return msgspec.json.encode([_FORMAT, master_id, str(UUID(user_id)), provider.value])


def _fingerprint(master: _Master, key: SecretStr, user_id: str, provider: Provider) -> str:
    mac = hmac.new(master.fingerprints, digestmod=hashlib.sha256)
    bound = _bound(master.id, user_id, provider)
    mac.update(len(bound).to_bytes(4, "big") + bound + key.get_secret_value().encode())
    return f"{master.id}:{mac.hexdigest()}"
