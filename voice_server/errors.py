"""The exception tree; every message says what to do and carries no caller data."""

from __future__ import annotations


class VoiceServerError(Exception):
    """Root of every error this server raises on purpose."""


class ConfigurationError(VoiceServerError):
    """A setting is missing or wrong; raised at start only, with all problems listed."""


class Refused(VoiceServerError):
    """A request we will not serve; `status` is the HTTP status to answer with."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class ServiceError(VoiceServerError):
    """A collaborator failed; `retryable` says whether trying again can help."""

    retryable = False

    def __init__(self, service: str, message: str) -> None:
        super().__init__(f"{service}: {message}")
        self.service = service


class ServiceUnavailable(ServiceError):
    """Network trouble, a timeout, HTTP 5xx or 429: worth another try."""

    retryable = True


class ServiceRejected(ServiceError):
    """Credentials, quota or a request the service will never accept."""


class KeyRefused(ServiceRejected):
    """The service does not accept our key: whoever owns it has to replace it."""


class JournalError(VoiceServerError):
    """A journal cannot be read: not a journal, another version, or cut short."""
