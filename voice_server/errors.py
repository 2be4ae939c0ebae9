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


class EngineBroken(ServiceError):
    """A bug of ours in a client of the service: others can be asked, and the next call may pass."""

    retryable = True


class KeyRefused(ServiceRejected):
    """The service does not accept our key: whoever owns it has to replace it."""


class JournalError(VoiceServerError):
    """A journal cannot be read: not a journal, another version, or cut short."""


def place_of(error: BaseException) -> str:
    """Where an exception was raised; its text may hold what a caller said and is not logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else ""
