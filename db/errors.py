"""What can go wrong with the database; no message carries data of a row."""

from __future__ import annotations


class StoreError(Exception):
    """Root of every error this package raises on purpose."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or did not answer in time; nothing was written.

    Trying the same again later can help. One case is open: a connection lost while a commit
    was under way may have committed; every write of this package may be repeated.
    """


class RowRejected(StoreError):
    """The database refuses rows for their content; writing them again can never help.

    `indexes` are the places of all refused rows in what was given. `kind` (the row's type),
    `call_id` and `reason` (a stable word such as "unknown call" or "violates <constraint>")
    tell of the first of them; the others may be refused because it is.
    """

    def __init__(
        self, kind: str, call_id: str, *, reason: str, indexes: tuple[int, ...] = (0,)
    ) -> None:
        more = f" and {len(indexes) - 1} more rows" if len(indexes) > 1 else ""
        super().__init__(
            f"{kind} of call {call_id}: {reason}{more}; set aside what is refused, write the rest"
        )
        self.kind = kind
        self.call_id = call_id
        self.reason = reason
        self.indexes = indexes


class AlreadyDialling(StoreError):
    """A call between the same two numbers is not over yet, or may not be; dial later."""


class UnknownTenant(StoreError):
    """There is no such user."""


class PriceRejected(StoreError):
    """A price that cannot be; the message names the field, what is wrong and what to do."""


class MigrationError(StoreError):
    """The schema cannot be brought up to date."""


class EmbeddedServerError(StoreError):
    """The embedded Postgres cannot run here."""
