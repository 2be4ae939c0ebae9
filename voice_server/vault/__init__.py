"""The vault of tenants' provider keys."""

from voice_server.vault.checks import Finding, KeyChecks
from voice_server.vault.choice import PROVIDERS, Engine, KeyChoice, KeyChooser
from voice_server.vault.notes import KeyNotes
from voice_server.vault.ring import KeyRing, RingUnreadable, SealBroken
from voice_server.vault.tenant_keys import Added, Rotation, TenantKeys, open_vault

__all__ = [
    "PROVIDERS",
    "Added",
    "Engine",
    "Finding",
    "KeyChecks",
    "KeyChoice",
    "KeyChooser",
    "KeyNotes",
    "KeyRing",
    "RingUnreadable",
    "Rotation",
    "SealBroken",
    "TenantKeys",
    "open_vault",
]
