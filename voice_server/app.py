"""The composition root: settings in, a running server out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from typing import Protocol, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import db
from db.messages import PostgresMessages
from detectors import ScamModel
from voice_server import __version__
from voice_server.desk import FrontDesk
from voice_server.engines.phrases import PhraseBook, Phrases
from voice_server.engines.plan import EngineChooser, LocalOnly
from voice_server.guardian import SmsGuardian
from voice_server.handovers import Handovers
from voice_server.late_costs import LateCosts
from voice_server.llm.receptionist import Receptionist
from voice_server.mirror.database import RealtimeDatabase
from voice_server.mirror.fan import MirrorFan
from voice_server.mirror.finals import Finals
from voice_server.mirror.firebase import FirebaseMirror
from voice_server.mirror.local import LocalMirror
from voice_server.mirror.pending import Pace
from voice_server.mirror.tokens import WebTokens
from voice_server.orders.toolbox import OrderToolbox
from voice_server.outbound import Dialler, OutboundOffice
from voice_server.outbound.late_facts import LateFacts
from voice_server.outbound.recordings import Recorder
from voice_server.ports import CallId, LanguageModel, StateMirror
from voice_server.provider_settings import Provider
from voice_server.runtime.agents import policy_for
from voice_server.runtime.outbox import Outbox
from voice_server.runtime.services import Services
from voice_server.runtime.spill import Spill
from voice_server.settings import Settings
from voice_server.shield import ScamShield
from voice_server.speech.engines import LocalEngines, open_local
from voice_server.tariff import Tariff
from voice_server.telemetry import Metrics
from voice_server.transfer_book import TransferBook
from voice_server.twilio.line import LEAD_S
from voice_server.twilio.rest import TwilioRest
from voice_server.twilio.routes import routes
from voice_server.twilio.transfer import Transfers

log = logging.getLogger(__name__)

T = TypeVar("T")

_FLUSH_LIMIT_S = 10.0


class Server(msgspec.Struct):
    """What one process holds. Serve `app` on the event loop that opened it."""

    settings: Settings
    app: Starlette
    desk: FrontDesk
    mirror: LocalMirror
    outbox: Outbox
    pool: db.Pool
    database_url: str
    metrics: Metrics


class Patience(Protocol):
    """How to wait for other processes, which know nothing of virtual time."""

    def hold(self) -> AbstractContextManager[None]:
        """For the time of the block, however long it really takes, no time passes."""

    def wrap(self, part: T, /) -> T:
        """`part`, with every call of an async method under `hold`."""


class RealTime:
    """The patience of a loop in real time: none is needed."""

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()

    def wrap(self, part: T, /) -> T:
        return part


@asynccontextmanager
async def open_server(
    settings: Settings,
    *,
    engines: LocalEngines | None = None,
    language_model: LanguageModel | None = None,
    patience: Patience = RealTime(),  # noqa: B008 - stateless
    lead_s: float = LEAD_S,
) -> AsyncIterator[Server]:
    """Start everything the settings ask for; on leaving, drain, flush and stop it again.

    Give `engines` to share them between servers: they stay open. A `language_model` takes
    the place of the receptionist. `patience` is for loops in virtual time. `lead_s` bounds
    how much unplayed speech lies at the carrier.
    """
    async with AsyncExitStack() as stack:
        if engines is None:
            engines = open_local(settings.inference_threads, settings.models_dir)
            stack.callback(engines.close)
        loading = asyncio.ensure_future(engines.warm())  # while the database starts
        stack.callback(loading.cancel)
        pool, url, tariff = await _database(settings, patience, stack)
        outbox = await _outbox(settings, patience.wrap(db.PostgresCallStore(pool)), stack)
        shield = ScamShield(ScamModel.load())
        stack.callback(shield.close)
        mirror, metrics = LocalMirror(), Metrics()
        twilio = _twilio(settings, stack)
        services = Services(
            speech_to_text=engines.speech_to_text,
            voice_activity=engines.voice_activity,
            language_model=language_model or Receptionist(can_transfer=bool(settings.human_number)),
            text_to_speech=engines.text_to_speech,
            phrases=Phrases(PhraseBook(engines.text_to_speech)),
            risk=shield,
            toolbox=OrderToolbox(
                patience.wrap(db.PostgresOrders(pool)), patience.wrap(PostgresMessages(pool))
            ),
            guardian=SmsGuardian(twilio),
            mirror=await _mirrors(
                settings, mirror, lambda call: desk.tenant_of(call), metrics, stack
            ),
        )
        directory = patience.wrap(db.PostgresAgentDirectory(pool))
        costs = LateCosts(outbox.put, tariff)
        book = TransferBook(costs, patience.wrap(db.PostgresTransfers(pool)), twilio)
        outbound = _outbound(settings, pool, directory, twilio, outbox, costs, patience)
        desk = FrontDesk(
            settings,
            directory,
            services,
            outbox.put,
            metrics,
            costs=costs,
            handovers=_handovers(settings, costs, twilio, book, stack),
            outbound=outbound,
            engines=await _providers(settings, services, twilio, pool, metrics, patience, stack),
        )
        for work in (outbound.run(), book.run()):
            stack.push_async_callback(_stop, asyncio.ensure_future(work))
        server = Server(
            settings=settings,
            app=Starlette(routes=[*routes(desk, settings, metrics, lead_s=lead_s)]),
            desk=desk,
            mirror=mirror,
            outbox=outbox,
            pool=pool,
            database_url=url,
            metrics=metrics,
        )
        server.app.router.routes += [*_health(server), *_web(settings)]
        await loading
        await _warm(engines, directory, stack)
        try:
            yield server
        finally:
            await desk.drain(settings.drain_s)


async def _database(
    settings: Settings, patience: Patience, stack: AsyncExitStack
) -> tuple[db.Pool, str, Tariff]:
    """The pool, its URL and the price list; starts the embedded Postgres where none is set."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
    else:
        embedded = await stack.enter_async_context(db.running(settings.data_dir / "postgres"))
        url = embedded.dsn
    with patience.hold():
        await db.migrate(url)
        pool = await db.open_pool(
            url, size=settings.database_pool, statement_cache=settings.database_statement_cache
        )
        stack.push_async_callback(_close, pool, patience)
        if settings.database_url is None:
            await db.seed_demo(pool)
        tariff = Tariff(await db.price_history(pool))

    async def read_prices() -> tuple[db.PriceRow, ...]:
        with patience.hold():
            return await db.price_history(pool)

    rereading = asyncio.ensure_future(tariff.keep_current(read_prices))
    stack.push_async_callback(_stop, rereading)
    return pool, url, tariff


async def _close(pool: db.Pool, patience: Patience) -> None:
    with patience.hold():
        await pool.close()


async def _outbox(settings: Settings, store: db.PostgresCallStore, stack: AsyncExitStack) -> Outbox:
    spill = Spill(settings.data_dir / "spill")
    stack.callback(spill.close)
    outbox = Outbox(store, spill)
    writing = asyncio.ensure_future(outbox.run())

    async def finish() -> None:
        outbox.close()
        _, late = await asyncio.wait([writing], timeout=_FLUSH_LIMIT_S)
        for task in late:
            task.cancel()
        await asyncio.wait([writing])

    stack.push_async_callback(finish)
    return outbox


def _twilio(settings: Settings, stack: AsyncExitStack) -> TwilioRest | None:
    token = settings.twilio_auth_token
    if not settings.twilio_account_sid or token is None:
        return None
    client = TwilioRest(
        settings.twilio_account_sid, token.get_secret_value(), settings.twilio_api_url
    )
    stack.push_async_callback(client.close)
    return client


async def _providers(
    settings: Settings,
    services: Services,
    twilio: TwilioRest | None,
    pool: db.Pool,
    metrics: Metrics,
    patience: Patience,
    stack: AsyncExitStack,
) -> EngineChooser:
    """Who chooses the engines of calls; without a key or a vault nothing of providers is loaded."""
    keys = [settings.key_of(one) for one in Provider if one is not Provider.TWILIO]
    if not any(keys) and settings.vault_keys is None:
        return LocalOnly(services)
    from voice_server.engines.selection import Engines
    from voice_server.vault import KeyChecks, KeyChooser, KeyRing, TenantKeys

    vault = None
    if settings.vault_keys is not None:
        rows = patience.wrap(db.PostgresKeys(pool))
        vault = TenantKeys(rows, KeyRing.parse(settings.vault_keys), KeyChecks(settings))
    engines = Engines(
        settings,
        KeyChooser(settings, vault),
        services,
        can_transfer=bool(settings.human_number),
        sender=twilio,
        metrics=metrics.engines,
    )
    stack.push_async_callback(engines.close)
    await engines.prepare()
    return engines


def _handovers(
    settings: Settings,
    costs: LateCosts,
    twilio: TwilioRest | None,
    book: TransferBook,
    stack: AsyncExitStack,
) -> Handovers:
    """Who puts callers through; humans can be asked first only with an account and a URL."""
    stack.push_async_callback(book.flush)
    transfers = None
    if twilio is not None and settings.public_url:
        transfers = Transfers(twilio, settings.public_url, book)
        stack.push_async_callback(transfers.close)
    return Handovers(settings.human_number, costs, book, transfers)


def _outbound(
    settings: Settings,
    pool: db.Pool,
    directory: db.PostgresAgentDirectory,
    twilio: TwilioRest | None,
    outbox: Outbox,
    costs: LateCosts,
    patience: Patience,
) -> OutboundOffice:
    """Looks after calls we placed; places and looks up some only with an account and a URL."""
    dials = patience.wrap(db.PostgresDials(pool))
    if twilio is None or not settings.public_url:
        return OutboundOffice(dials, directory, outbox.put)
    recordings = patience.wrap(db.PostgresRecordings(pool))
    recorder = Recorder(recordings, twilio, settings.data_dir)
    late = LateFacts(twilio, recorder, costs, outbox.put)
    dialler = Dialler(dials, twilio, settings.public_url, late=late.gather)
    return OutboundOffice(dials, directory, outbox.put, dialler, recorder)


async def _mirrors(
    settings: Settings,
    local: LocalMirror,
    tenant_of: Callable[[CallId], str | None],
    metrics: Metrics,
    stack: AsyncExitStack,
) -> StateMirror:
    """The mirror in memory, and Firebase where a database is set."""
    if not settings.firebase_database_url:
        return local
    # The SDK takes most of a second to be imported.
    database = await asyncio.to_thread(
        RealtimeDatabase, settings.firebase_database_url, settings.firebase_credentials
    )
    finals = Finals(settings.data_dir / "mirror")
    pace = Pace(writes_per_s=settings.firebase_writes_per_s)
    firebase = FirebaseMirror(database, finals, tenant_of, pace, metrics=metrics.mirror)
    stack.push_async_callback(firebase.close)
    return MirrorFan(local, firebase)


def _web(settings: Settings) -> list[Route]:
    """What tenants' web clients may ask, where they can be told from others."""
    key, secret = settings.firebase_credentials, settings.jwt_secret
    if key is None or secret is None or not settings.firebase_database_url:
        return []
    from voice_server.mirror.web import token_route

    return [token_route(WebTokens(key), secret, settings.firebase_database_url)]


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _health(server: Server) -> list[Route]:
    async def alive(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(_: Request) -> Response:
        """Whether new calls are welcome; 503 takes the process out of the rotation."""
        draining = server.desk.draining
        state = {
            "version": __version__,
            "ready": not draining,
            "draining": draining,
            "live_calls": server.desk.live,
            "database": "up" if server.outbox.healthy else "down, rows are kept on disk",
            "rows_waiting": server.outbox.waiting,
            "unsigned_webhooks": server.settings.insecure_webhooks,
        }
        return JSONResponse(state, status_code=503 if draining else 200)

    async def metrics(_: Request) -> Response:
        server.metrics.live_calls.set(server.desk.live)
        server.metrics.rows_waiting.set(server.outbox.waiting)
        return Response(server.metrics.render(), media_type="text/plain; version=0.0.4")

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", metrics)]


async def _warm(
    engines: LocalEngines, directory: db.PostgresAgentDirectory, stack: AsyncExitStack
) -> None:
    """Speak the demo agent's fixed words once: the greeting now, the others in idle moments."""
    agent = await directory.for_number(db.DEMO_NUMBER)
    if agent is not None:
        policy, voice = policy_for(agent), engines.text_to_speech
        await voice.warm([policy.greeting])
        others = voice.warm((*policy.silence_prompts, *policy.phrases))
        stack.push_async_callback(_stop, asyncio.ensure_future(others))
