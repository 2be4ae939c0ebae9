"""How long a remote side may take, in one value."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Deadlines of one kind of remote work, in seconds; what exceeds one is given up."""

    first_byte_s: float  # from the request to the first sign of an answer
    between_s: float  # from one sign of life to the next while an answer is owed
    total_s: float  # from the request to the end of the answer
