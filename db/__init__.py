"""Postgres: knows nothing of calls or HTTP."""

from db.agents import (
    DEMO_AGENT_ID,
    DEMO_NUMBER,
    DEMO_USER_ID,
    PostgresAgentDirectory,
    seed_demo,
)
from db.call_records import CallRecord, DetectionRecord, PostgresCallRecords
from db.calls import PostgresCallStore
from db.embedded import EmbeddedPostgres, running
from db.errors import (
    EmbeddedServerError,
    MigrationError,
    RowRejected,
    StoreError,
    StoreUnavailable,
)
from db.migrate import migrate
from db.orders import OrderRow, PostgresOrders
from db.pool import Pool, open_pool
from db.prices import PriceRow, prices_at, set_price

__all__ = [
    "DEMO_AGENT_ID",
    "DEMO_NUMBER",
    "DEMO_USER_ID",
    "CallRecord",
    "DetectionRecord",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "MigrationError",
    "OrderRow",
    "Pool",
    "PostgresAgentDirectory",
    "PostgresCallRecords",
    "PostgresCallStore",
    "PostgresOrders",
    "PriceRow",
    "RowRejected",
    "StoreError",
    "StoreUnavailable",
    "migrate",
    "open_pool",
    "prices_at",
    "running",
    "seed_demo",
    "set_price",
]
