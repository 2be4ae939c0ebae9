"""A process that supervises an embedded server until its input ends; used by the tests.

Arguments: the folder. Prints the server's process id and URL.
"""

from __future__ import annotations

import sys
from pathlib import Path

from db.embedded import EmbeddedPostgres

if __name__ == "__main__":
    with EmbeddedPostgres(Path(sys.argv[1]), options={"fsync": "off"}) as server:
        sys.stdout.write(f"{server.pid} {server.dsn}\n")
        sys.stdout.flush()
        sys.stdin.read()
