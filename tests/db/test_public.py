from __future__ import annotations

import db


def test_the_public_surface_is_this_and_every_name_of_it_exists() -> None:
    assert sorted(db.__all__) == [
        "AlreadyDialling",
        "CallRecord",
        "DEMO_AGENT_ID",
        "DEMO_NUMBER",
        "DEMO_USER_ID",
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
        "VOICE_INBOUND",
        "VOICE_OUTBOUND",
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
    assert all(hasattr(db, name) for name in db.__all__)


def test_every_error_is_a_store_error() -> None:
    for name in ("StoreUnavailable", "RowRejected", "MigrationError", "EmbeddedServerError"):
        assert issubclass(getattr(db, name), db.StoreError)
