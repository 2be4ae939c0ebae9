"""Postgres: knows nothing of calls or HTTP."""

from db.actual_costs import VOICE_INBOUND, VOICE_OUTBOUND, tell_cost
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
    PriceRejected,
    RowRejected,
    StoreError,
    StoreUnavailable,
    UnknownTenant,
)
from db.keys import KeyRow, PostgresKeys, SealedKey
from db.migrate import migrate
from db.orders import OrderRow, PostgresOrders
from db.pool import Pool, open_pool
from db.prices import (
    PriceRow,
    in_force,
    price_history,
    prices_at,
    set_price,
    unpriced_items,
)
from db.recordings import PostgresRecordings, RecordingRow
from db.transfers import PostgresTransfers, TransferRow

__all__ = [
    "DEMO_AGENT_ID",
    "DEMO_NUMBER",
    "DEMO_USER_ID",
    "VOICE_INBOUND",
    "VOICE_OUTBOUND",
    "AlreadyDialling",
    "CallRecord",
    "DetectionRecord",
    "DialRow",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "KeyRow",
    "MigrationError",
    "NewDial",
    "OrderRow",
    "Pool",
    "PostgresAgentDirectory",
    "PostgresCallRecords",
    "PostgresCallStore",
    "PostgresDials",
    "PostgresKeys",
    "PostgresOrders",
    "PostgresRecordings",
    "PostgresTransfers",
    "PriceRejected",
    "PriceRow",
    "RecordingRow",
    "RowRejected",
    "SealedKey",
    "StoreError",
    "StoreUnavailable",
    "TransferRow",
    "UnknownTenant",
    "in_force",
    "migrate",
    "open_pool",
    "price_history",
    "prices_at",
    "running",
    "seed_demo",
    "set_price",
    "tell_cost",
    "unpriced_items",
]
