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
from db.dials import DialRow, NewDial, PostgresDials
from db.embedded import EmbeddedPostgres, running
from db.errors import (
    AlreadyDialling,
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
from db.recordings import PostgresRecordings, RecordingRow

__all__ = [
    "DEMO_AGENT_ID",
    "DEMO_NUMBER",
    "DEMO_USER_ID",
    "AlreadyDialling",
    "CallRecord",
    "DetectionRecord",
    "DialRow",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "MigrationError",
    "NewDial",
    "OrderRow",
    "Pool",
    "PostgresAgentDirectory",
    "PostgresCallRecords",
    "PostgresCallStore",
    "PostgresDials",
    "PostgresOrders",
    "PostgresRecordings",
    "PriceRow",
    "RecordingRow",
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
