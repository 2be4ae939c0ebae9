from __future__ import annotations

from tests.db.server import database, pool, template  # noqa: F401
