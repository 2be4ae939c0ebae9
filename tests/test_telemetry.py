from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from voice_server.telemetry import Metrics, PlainFormatter, configure_logging, redact


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    written = io.StringIO()
    output = logging.StreamHandler(written)
    output.setFormatter(PlainFormatter())
    logger = logging.Logger("voice_server.test")
    logger.addHandler(output)
    yield logger, written
    output.close()


def test_facts_follow_the_message_by_name(log):
    logger, written = log
    logger.info("call ended", extra={"turns": 3, "call": "call-1"})
    assert written.getvalue().endswith("INFO voice_server.test: call ended call=call-1 turns=3\n")


@pytest.mark.parametrize("name", ["caller_number", "transcript", "token", "text", "secret"])
def test_private_fields_are_hidden_by_name(log, name):
    logger, written = log
    logger.info("oops", extra={name: "my secret"})
    assert f"{name}=[hidden]" in written.getvalue()
    assert "my secret" not in written.getvalue()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("from +14155550123 to +442079460000.", "from +***23 to +***00."),
        ("tel:+14155550123", "tel:+***23"),
        ("1+1=2, at +20 ms, 2026-11-22", "1+1=2, at +20 ms, 2026-11-22"),
        ("CA00000000000000000000000000000001", "CA00000000000000000000000000000001"),
    ],
)
def test_phone_numbers_are_masked_and_other_numbers_are_not(text, masked):
    assert redact(text) == masked


def test_phone_numbers_are_masked_in_tracebacks_too(log):
    logger, written = log
    try:
        raise ValueError("cannot dial +14155550123")
    except ValueError:
        logger.exception("dial failed")
    assert "+***23" in written.getvalue()
    assert "4155550123" not in written.getvalue()


def test_servers_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.webhooks.labels("/twilio/voice", "forged").inc()
    assert b'result="forged"} 1.0' in one.render()
    assert b"forged" not in other.render().replace(b"forged (bad", b"")


def test_every_metric_is_named_after_the_server():
    names = [family.name for family in Metrics().registry.collect()]
    assert names
    assert all(name.startswith("voice_server_") for name in names)


def test_the_log_goes_to_stderr_in_our_form_and_only_once(capsys):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    access = logging.getLogger("uvicorn.access")
    try:
        configure_logging("info")
        configure_logging("warning")
        logging.getLogger("x").info("quiet")
        logging.getLogger("x").warning("call +14155550123")
        assert access.disabled
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        access.disabled = False
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("WARNING x: call +***23")
