from __future__ import annotations

from tests.db.server import database, template  # noqa: F401
