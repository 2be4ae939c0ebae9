"""Firebase's Realtime Database on the wire: REST, streams, rules, tokens, faults and a meter.

    lab = FirebaseLab()
    async with hosting(lab.app) as url:
        ...  # databaseURL = lab.database_url(url), or https with lab.key_file(url)

The writes it counts are those that arrived, also when a fault then ate them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from importlib import resources
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from voice_server.testing.lab.events import HTML, Meter
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.firebase_identity import ADMIN, Identity, Unauthorized
from voice_server.testing.lab.firebase_rules import Rules
from voice_server.testing.lab.firebase_tree import (
    BadData,
    Path,
    Query,
    Tree,
    etag,
    path_of,
    push_id,
    replaced,
    separate,
    shallow,
    shown,
    stored,
    value_at,
)
from voice_server.testing.lab.host import cut

DENIED = "Permission denied"
_KEEP_ALIVE_S = 30.0
_NODE_DEPTH = 3  # /live/<tenant>/<call>
_STATUS = {
    Fault.UNAUTHORIZED: (401, DENIED),
    Fault.RATE_LIMITED: (429, "Too many requests"),
    Fault.SERVER_ERROR: (503, "Service unavailable"),
    Fault.QUOTA: (402, "The request exceeds the limits of the database's plan."),
}


class Write(msgspec.Struct, frozen=True):
    """One node written by one request. Loop seconds; bytes of the whole request."""

    at: float
    node: Path
    request: int
    size: int


class _Listener(msgspec.Struct, eq=False):
    path: Path
    events: asyncio.Queue[bytes]


def shipped_rules() -> Rules:
    """The rules that come with the mirror."""
    file = resources.files("voice_server.mirror") / "database.rules.json"
    return Rules(msgspec.json.decode(file.read_bytes()))


class FirebaseLab:
    """Serve `app`. `plan` numbers the requests to the database, tokens and streams aside."""

    def __init__(
        self,
        *,
        rules: Rules | None = None,
        plan: FaultPlan | None = None,
        project: str = "demo-voice",
        delay_s: Callable[[], float] = lambda: 0.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`delay_s` says how long each answer takes; without `rules` those we ship apply."""
        self.rules = rules or shipped_rules()
        self.plan = plan or FaultPlan()
        self.identity = Identity(project, wall_clock)
        self.meter = Meter()
        self.writes: list[Write] = []
        self.tree: Tree = None
        self.project = project
        self._delay_s = delay_s
        self._wall_clock = wall_clock
        self._listeners: set[_Listener] = set()
        exchange = "/identitytoolkit.googleapis.com/v1/accounts:signInWithCustomToken"
        self.app = Starlette(
            routes=[
                Route("/token", self._grant, methods=["POST"]),
                Route(exchange, self._sign_in, methods=["POST"]),
                Route(
                    "/{path:path}",
                    self._database,
                    methods=["GET", "PUT", "PATCH", "POST", "DELETE"],
                ),
            ]
        )

    def database_url(self, url: str) -> str:
        """What to give an SDK as `databaseURL`; it then behaves as towards the emulator."""
        return f"{url}/?ns={self.project}"

    def key_file(self, url: str) -> dict[str, Any]:
        """A service account's key that asks us for its access tokens."""
        return self.identity.key_file(f"{url}/token")

    def value(self, path: str) -> Any:
        """What lies at a path, as JSON."""
        return shown(value_at(self.tree, path_of(path)))

    async def _grant(self, request: Request) -> Response:
        form = await request.form()
        try:
            return JSONResponse(self.identity.grant(str(form.get("assertion", ""))))
        except Unauthorized as error:
            return JSONResponse({"error": "invalid_grant", "error_description": str(error)}, 400)

    async def _sign_in(self, request: Request) -> Response:
        body = msgspec.json.decode(await request.body(), type=dict[str, Any])
        try:
            return JSONResponse(self.identity.sign_in(str(body.get("token", ""))))
        except Unauthorized as error:
            return JSONResponse({"error": {"code": 400, "message": str(error)}}, 400)

    async def _database(self, request: Request) -> Response:
        text = request.path_params["path"]
        if not text.endswith(".json"):
            return JSONResponse({"error": "append .json to your request URI"}, 404)
        if request.headers.get("accept") == "text/event-stream":
            return self._answered(request, text, b"")
        body = await request.body()
        injection = self.plan.take()
        self._count(request.method, text, body)
        if (delay := self._delay_s()) > 0:
            await asyncio.sleep(delay)
        return await self._under_fault(request, text, body, injection)

    async def _under_fault(
        self, request: Request, text: str, body: bytes, injection: Injection
    ) -> Response:
        match injection.fault:
            case Fault.SLOW_FIRST_BYTE:
                await asyncio.sleep(injection.delay_s)
            case Fault.STALL:  # done, but the client will hardly hear of it
                answer = self._answered(request, text, body)
                await asyncio.sleep(injection.delay_s)
                return answer
            case Fault.DROP | Fault.CLOSE:
                if injection.after_bytes:
                    self._answered(request, text, body)
                cut(request)
                return Response()
            case Fault.GARBAGE:
                return Response(HTML, 502, media_type="text/html")
            case fault if fault in _STATUS:
                status, error = _STATUS[fault]
                return JSONResponse({"error": error}, status)
        return self._answered(request, text, body)

    def _count(self, method: str, text: str, body: bytes) -> None:
        """Remember which nodes a request wants to write."""
        self.meter.add("firebase.requests", 1)
        if method == "GET":
            return
        at, nodes = asyncio.get_running_loop().time(), set[Path]()
        try:
            top = path_of(text.removesuffix(".json"))
            paths = [top]
            if method == "PATCH":
                keys = msgspec.json.decode(body, type=dict[str, Any])
                paths = [(*top, *path_of(key)) for key in keys]
        except (BadData, msgspec.MsgspecError):
            return
        nodes.update(path[:_NODE_DEPTH] for path in paths)
        for node in sorted(nodes):
            self.writes.append(Write(at, node, self.plan.seen, len(body)))

    def _answered(self, request: Request, text: str, body: bytes) -> Response:
        try:
            path = path_of(text.removesuffix(".json"))
            auth = self._who(request)
            response = self._act(request, path, auth, body)
        except Unauthorized as error:
            response = JSONResponse({"error": str(error)}, 401)
        except BadData as error:
            response = JSONResponse({"error": str(error)}, 400)
        except msgspec.MsgspecError:
            problem = "Invalid data; couldn't parse JSON object, array, or value."
            response = JSONResponse({"error": problem}, 400)
        if not isinstance(response, StreamingResponse):
            self.meter.add("firebase.downloaded.bytes", len(response.body))
        return response

    def _who(self, request: Request) -> Any:
        """`auth` for the rules, None for nobody, or `ADMIN`."""
        query = request.query_params
        auth: Any = None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" or "access_token" in query:
            auth = self.identity.of_bearer(query.get("access_token", token))
        elif "auth" in query:
            auth = self.identity.of_person(query["auth"])
        if auth is ADMIN and "auth_variable_override" in query:
            return msgspec.json.decode(query["auth_variable_override"])
        return auth

    def _act(self, request: Request, path: Path, auth: Any, body: bytes) -> Response:
        match request.method:
            case "GET":
                return self._get(request, path, auth)
            case "PUT":
                return self._put(request, path, auth, msgspec.json.decode(body))
            case "PATCH":
                return self._patch(request, path, auth, msgspec.json.decode(body))
            case "POST":
                name = push_id(self._now_ms())
                self._commit({(*path, name): msgspec.json.decode(body)}, auth)
                return _json({"name": name})
            case _:
                self._commit({path: None}, auth)
                return _json(None)

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)

    def _get(self, request: Request, path: Path, auth: Any) -> Response:
        now_ms = self._now_ms()
        if auth is not ADMIN and not self.rules.may_read(path, auth, self.tree, now_ms):
            raise Unauthorized(DENIED)
        if request.headers.get("accept") == "text/event-stream":
            return StreamingResponse(self._stream(path), media_type="text/event-stream")
        tree = value_at(self.tree, path)
        if request.query_params.get("shallow") == "true":
            return _json(shallow(tree))
        if (query := _query(request.query_params)) is not None:
            if not query.order_by.startswith("$") and not self.rules.indexed(path, query.order_by):
                raise BadData(
                    f'Index not defined, add ".indexOn": "{query.order_by}", '
                    f'for path "/{"/".join(path)}", to the rules'
                )
            return _json(query.answer(tree))
        tag = etag(tree)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304)
        wants_tag = "if-none-match" in request.headers or "x-firebase-etag" in request.headers
        return _json(shown(tree), {"ETag": tag} if wants_tag else None)

    def _put(self, request: Request, path: Path, auth: Any, value: Any) -> Response:
        expected = request.headers.get("if-match")
        old = value_at(self.tree, path)
        if expected is not None and expected != etag(old):
            return JSONResponse(shown(old), 412, {"ETag": etag(old)})
        self._commit({path: value}, auth)
        new = value_at(self.tree, path)
        if _silent(request):
            return Response(status_code=204)
        return _json(shown(new), {"ETag": etag(new)} if expected is not None else None)

    def _patch(self, request: Request, path: Path, auth: Any, value: Any) -> Response:
        if not isinstance(value, dict):
            raise BadData("Invalid data; couldn't parse JSON object.")
        updates = {(*path, *path_of(key)): item for key, item in value.items()}
        separate(updates)
        self._commit(updates, auth, patched=path)
        return Response(status_code=204) if _silent(request) else _json(value)

    def _commit(self, updates: Mapping[Path, Any], auth: Any, patched: Path | None = None) -> None:
        """Write all or nothing, as the rules allow, and tell those who listen."""
        now_ms, before, after = self._now_ms(), self.tree, self.tree
        for path, value in updates.items():
            after = replaced(after, path, stored(value, value_at(before, path), now_ms))
        if auth is not ADMIN:
            for path in updates:
                if not self.rules.may_write(path, auth, before, after, now_ms):
                    raise Unauthorized(DENIED)
        self.tree = after
        for listener in self._listeners:
            self._tell(listener, updates, before, patched)

    def _tell(
        self, listener: _Listener, updates: Mapping[Path, Any], before: Tree, patched: Path | None
    ) -> None:
        depth = len(listener.path)
        if patched is not None and patched[:depth] == listener.path:
            data = {
                "/".join(path[len(patched) :]): shown(value_at(self.tree, path)) for path in updates
            }
            listener.events.put_nowait(_event("patch", patched[depth:], data))
            return
        for path in updates:
            if path[:depth] == listener.path:
                data = shown(value_at(self.tree, path))
                listener.events.put_nowait(_event("put", path[depth:], data))
            elif listener.path[: len(path)] == path:
                new = value_at(self.tree, listener.path)
                if new != value_at(before, listener.path):
                    listener.events.put_nowait(_event("put", (), shown(new)))

    async def _stream(self, path: Path) -> AsyncIterator[bytes]:
        listener = _Listener(path, asyncio.Queue())
        self._listeners.add(listener)
        try:
            yield _event("put", (), shown(value_at(self.tree, path)))
            while True:
                try:
                    async with asyncio.timeout(_KEEP_ALIVE_S):
                        chunk = await listener.events.get()
                except TimeoutError:
                    chunk = b"event: keep-alive\ndata: null\n\n"
                self.meter.add("firebase.downloaded.bytes", len(chunk))
                yield chunk
        finally:
            self._listeners.discard(listener)


def _event(kind: str, path: Path, data: Any) -> bytes:
    told = msgspec.json.encode({"path": "/" + "/".join(path), "data": data})
    return b"event: " + kind.encode() + b"\ndata: " + told + b"\n\n"


def _json(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    content = msgspec.json.encode(value)
    return Response(content, media_type="application/json", headers=headers)


def _silent(request: Request) -> bool:
    return request.query_params.get("print") == "silent"


def _query(given: Mapping[str, str]) -> Query | None:
    if "orderBy" not in given:
        return None
    values = {name: msgspec.json.decode(given[name]) for name in given if name in _VALUES}
    return Query(
        values["orderBy"],
        start_at=values.get("startAt"),
        end_at=values.get("endAt"),
        equal_to=values.get("equalTo"),
        first=values.get("limitToFirst", 0),
        last=values.get("limitToLast", 0),
    )


_VALUES = ("orderBy", "startAt", "endAt", "equalTo", "limitToFirst", "limitToLast")
