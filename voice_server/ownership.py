"""Files that belong to one living process, and to whoever finds them once it is dead."""

from __future__ import annotations

import fcntl
import os
from io import FileIO
from pathlib import Path


def own(path: Path) -> FileIO | None:
    """Open and lock a file, or None when another process owns or has removed it.

    The lock goes with the process, however that ends. Remove an owned file before closing it,
    so that nobody adopts it in between.
    """
    try:
        file = FileIO(path, "r+")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None
