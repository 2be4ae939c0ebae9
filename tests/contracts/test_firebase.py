"""The real firebase-admin takes the simulated database for the real one."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import itertools
import json
import queue
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import firebase_admin
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from firebase_admin import auth, credentials, db, exceptions
from google.auth.exceptions import RefreshError

from voice_server.mirror.tokens import WebTokens
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.firebase_identity import Unauthorized
from voice_server.testing.lab.firebase_rules import Rules
from voice_server.testing.lab.host import hosting

_apps = itertools.count(1)
OPEN = {"rules": {".read": True, ".write": True, "people": {".indexOn": "age"}}}


@contextlib.contextmanager
def app_of(url: str, credential: Any = None, **options: Any) -> Any:
    options = {"databaseURL": url, "httpTimeout": 5} | options
    app = firebase_admin.initialize_app(credential, options, name=f"contract-{next(_apps)}")
    try:
        yield app
    finally:
        firebase_admin.delete_app(app)


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[tuple[FirebaseLab, Any]]:
    """A database without much of a rule, and an app of the SDK that uses it as admin."""
    lab = FirebaseLab(**{"rules": Rules(OPEN)} | options)
    async with hosting(lab.app) as url:
        with app_of(lab.database_url(url)) as app:
            yield lab, app


async def ask(question: Callable[..., Any], *given: Any, **more: Any) -> Any:
    return await asyncio.to_thread(question, *given, **more)


async def test_set_get_update_and_delete():
    async with opened() as (lab, app):
        ref = db.reference("/a/b", app=app)
        assert await ask(ref.get) is None
        await ask(ref.set, {"x": 1, "empty": [], "nothing": None, "list": ["p", "q"]})
        assert await ask(ref.get) == {"x": 1, "list": ["p", "q"]}
        await ask(ref.update, {"x": 2, "deep/er": True, "list/0": None, "gone": None})
        assert lab.value("a/b") == {"x": 2, "deep": {"er": True}, "list": [None, "q"]}
        assert await ask(ref.get, shallow=True) == {"x": True, "deep": True, "list": True}
        await ask(ref.delete)
        assert lab.value("a") is None


async def test_push_gives_keys_that_sort_by_time():
    clock = itertools.count(1_800_000_000)
    async with opened(wall_clock=lambda: float(next(clock))) as (lab, app):
        ref = db.reference("/list", app=app)
        keys = [(await ask(ref.push, {"n": n})).key for n in range(5)]
        assert keys == sorted(keys)
        assert {len(key) for key in keys} == {20}
        assert [lab.value("list")[key]["n"] for key in keys] == [0, 1, 2, 3, 4]


async def test_etags_and_conditional_writes():
    async with opened() as (_, app):
        ref = db.reference("/counter", app=app)
        nothing, empty_tag = await ask(ref.get, etag=True)
        assert (nothing, empty_tag) == (None, "null_etag")
        stored, value, tag = await ask(ref.set_if_unchanged, empty_tag, 1)
        assert (stored, value) == (True, 1)
        assert await ask(ref.get_if_changed, tag) == (False, None, None)
        stored, value, now_tag = await ask(ref.set_if_unchanged, empty_tag, 7)
        assert (stored, value, now_tag) == (False, 1, tag)
        assert (await ask(ref.get_if_changed, empty_tag))[:2] == (True, 1)


async def test_transactions_of_many_clients_lose_no_step():
    async with opened() as (lab, app):
        ref = db.reference("/counter", app=app)

        def count() -> None:
            for _ in range(5):
                ref.transaction(lambda value: (value or 0) + 1)

        await asyncio.gather(*(ask(count) for _ in range(4)))
        assert lab.value("counter") == 20


async def test_a_transaction_gives_up_at_last():
    async with opened() as (lab, app):
        ref = db.reference("/hot", app=app)

        def disturbed(value: Any) -> int:
            ref.set((value or 0) + 100)  # somebody else is always faster
            return 1

        with pytest.raises(db.TransactionAbortedError):
            await ask(ref.transaction, disturbed)
        assert lab.value("hot") > 1


# The SDK's `close` takes the socket away under its own reader, which then dies of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_listening_brings_the_whole_value_then_each_change():
    async with opened() as (_, app):
        ref = db.reference("/room", app=app)
        await ask(ref.set, {"a": 1})
        events: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        registration = await ask(
            ref.listen, lambda event: events.put((event.event_type, event.path, event.data))
        )
        try:
            assert await ask(events.get, timeout=5) == ("put", "/", {"a": 1})
            await ask(ref.child("b").set, 2)
            assert await ask(events.get, timeout=5) == ("put", "/b", 2)
            await ask(ref.update, {"a": 3, "c/d": 4})
            assert await ask(events.get, timeout=5) == ("patch", "/", {"a": 3, "c/d": 4})
            await ask(db.reference("/", app=app).update, {"room": {"z": 9}, "other": 1})
            assert await ask(events.get, timeout=5) == ("put", "/", {"z": 9})
            await ask(ref.delete)
            assert await ask(events.get, timeout=5) == ("put", "/", None)
        finally:
            closing = asyncio.ensure_future(ask(registration.close))
            await ask(ref.set, "wake the reader")
            await closing


async def test_server_values_are_filled_in_by_the_server():
    async with opened(wall_clock=lambda: 1_700_000_000.5) as (lab, app):
        ref = db.reference("/t", app=app)
        await ask(ref.set, {"at": {".sv": "timestamp"}, "n": 4})
        await ask(ref.update, {"n": {".sv": {"increment": 3}}, "m": {".sv": {"increment": 1}}})
        assert lab.value("t") == {"at": 1_700_000_000_500, "n": 7, "m": 1}


async def test_queries_choose_by_child_key_and_value():
    async with opened() as (_, app):
        people = db.reference("/people", app=app)
        await ask(people.set, {"ann": {"age": 30}, "bob": {"age": 20}, "cyd": {"age": 40}})

        def by_age() -> Any:  # a query remembers what it was told
            return people.order_by_child("age")

        assert list(await ask(by_age().get)) == ["bob", "ann", "cyd"]
        assert list(await ask(by_age().start_at(25).end_at(35).get)) == ["ann"]
        assert list(await ask(by_age().equal_to(40).get)) == ["cyd"]
        assert list(await ask(by_age().limit_to_last(2).get)) == ["ann", "cyd"]
        assert list(await ask(people.order_by_key().limit_to_first(1).get)) == ["ann"]
        scores = db.reference("/scores", app=app)
        await ask(scores.set, {"x": 3, "y": 1})
        assert list(await ask(scores.order_by_value().get)) == ["y", "x"]
        with pytest.raises(exceptions.InvalidArgumentError, match="Index not defined"):
            await ask(scores.order_by_child("age").get)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.UNAUTHORIZED, exceptions.UnauthenticatedError),
        (Fault.RATE_LIMITED, exceptions.ResourceExhaustedError),
        (Fault.GARBAGE, exceptions.FirebaseError),
        (Fault.QUOTA, exceptions.FirebaseError),
    ],
)
async def test_faults_come_out_as_the_sdks_own_errors(fault, error):
    async with opened(plan=FaultPlan(otherwise=fault)) as (_, app):
        with pytest.raises(error):
            await ask(db.reference("/a", app=app).set, 1)


async def test_the_sdk_by_itself_repeats_a_request_that_failed():
    async with opened(plan=FaultPlan({1: Fault.SERVER_ERROR, 2: Fault.DROP})) as (lab, app):
        await ask(db.reference("/a", app=app).set, 1)
        assert (lab.value("a"), lab.plan.seen) == (1, 3)


@pytest.mark.parametrize(
    "updates", [{"a": 1, "a/b": 2}, {"a$b": 1}, {"": 1, "x": {".sv": "tomorrow"}}]
)
async def test_updates_that_make_no_sense_are_refused(updates):
    async with opened() as (lab, app):
        with pytest.raises(exceptions.InvalidArgumentError):
            await ask(db.reference("/u", app=app).update, updates)
        assert lab.value("u") is None


def certificate_in(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    path = folder / "tls.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_a_service_account_gets_access_tokens_over_tls(tmp_path: Path, monkeypatch):
    lab = FirebaseLab()
    tls = certificate_in(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls))
    async with hosting(lab.app, certificate=tls) as url:
        key = credentials.Certificate(lab.key_file(url))
        with app_of(url, key) as app:
            await ask(db.reference("/live/t/c", app=app).set, {"anything": "goes for an admin"})
        with (
            app_of(url, key, databaseAuthVariableOverride={"uid": "someone"}) as app,
            pytest.raises(exceptions.UnauthenticatedError, match="Permission denied"),
        ):
            await ask(db.reference("/live/t/c", app=app).set, {"anything": "else"})
        stranger = FirebaseLab().key_file(url)
        with (
            app_of(url, credentials.Certificate(stranger)) as app,
            pytest.raises(RefreshError, match="invalid_grant"),
        ):
            await ask(db.reference("/live/t/c", app=app).get)
    assert lab.value("live/t/c") == {"anything": "goes for an admin"}


async def test_the_sdk_fetches_another_access_token_when_one_is_refused(tmp_path, monkeypatch):
    lab = FirebaseLab()
    tls = certificate_in(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls))
    async with hosting(lab.app, certificate=tls) as url:
        with app_of(url, credentials.Certificate(lab.key_file(url))) as app:
            ref = db.reference("/n", app=app)
            await ask(ref.set, 1)
            lab.identity.revoke()
            await ask(ref.set, 2)
    assert lab.value("n") == 2


async def test_custom_tokens_of_the_sdk_and_ours_sign_in_alike(tmp_path: Path):
    lab = FirebaseLab()
    file = tmp_path / "key.json"
    file.write_text(json.dumps(lab.key_file("http://127.0.0.1:1")))
    with app_of("https://127.0.0.1:1", credentials.Certificate(str(file))) as app:
        theirs = auth.create_custom_token("ann", {"tenant_id": "t1"}, app=app).decode()
    assert lab.identity.of_person(lab.identity.sign_in(theirs)["idToken"])["uid"] == "ann"
    ours = lab.identity.sign_in(WebTokens(file).mint("t1", "ann"))
    assert lab.identity.of_person(ours["idToken"])["uid"] == "web:ann"
    with pytest.raises(Unauthorized):
        FirebaseLab().identity.sign_in(theirs)
