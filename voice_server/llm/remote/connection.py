"""The way to one provider with one key, through its vendor's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from functools import partial
from typing import Any

from voice_server.llm.remote.dialect import Dialect
from voice_server.llm.remote.failures import vendor_errors
from voice_server.llm.remote.rehearsal import stage
from voice_server.llm.remote.source import KEEP_ALIVE_S, Source, watch_departure
from voice_server.llm.remote.usage import PromptMemory
from voice_server.llm.remote.warmth import Warmth


class Connection:
    """The connections to a provider; calls share it. `close` it in the end.

    Making one imports the SDK (seconds, once a process).
    """

    __slots__ = ("_client", "_errors", "_stream", "dialect", "memory", "source", "warmth")

    def __init__(self, dialect: Dialect, api_key: str, *, base_url: str, timeout_s: float) -> None:
        """`timeout_s` bounds what a reply's own limits do not: connecting and key checks."""
        import httpx2

        sdk = dialect.sdk()
        http = sdk.http(
            limits=httpx2.Limits(keepalive_expiry=KEEP_ALIVE_S),
            event_hooks={"request": [watch_departure]},
        )
        self._client = sdk.client(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout_s,
            http_client=http,
        )
        self._stream = sdk.stream
        self._errors: tuple[type[Exception], ...] = (sdk.error, httpx2.HTTPError)
        self.dialect = dialect
        self.memory = PromptMemory()
        self.warmth = Warmth(http, str(self._client.base_url), within_s=timeout_s)
        ask = partial(self._ask, self._client)
        self.source = Source(dialect.service, ask, errors=self._errors, optional=dialect.optional)

    def _ask(self, client: Any, body: Mapping[str, Any]) -> Awaitable[AsyncIterator[object]]:
        """Ask for events as plain JSON.

        The SDKs' own `create` would check the body and build a model of every event, four fifths
        of the time that an answer takes them.
        """
        asked: Awaitable[AsyncIterator[object]] = client.post(
            self.dialect.path, cast_to=object, body=body, stream=True, stream_cls=self._stream
        )
        return asked

    def rehearse(self) -> None:
        """Get ready for the first request, so that no call waits for it; not on an event loop."""
        asyncio.run(self._rehearse())

    async def _rehearse(self) -> None:
        nobody = stage(self.dialect.rehearsal)
        async with self._client.with_options(http_client=nobody) as client:
            async for _ in await self._ask(client, {"stream": True}):
                pass

    async def models(self) -> tuple[str, ...]:
        """The models this key reaches, free of charge; raises `ServiceError`. Checks a key."""
        with vendor_errors(self.dialect.service, self._errors):
            page = await self._client.models.list(extra_query=self.dialect.models_query)
            return tuple(str(model.id).removeprefix("models/") for model in page.data)

    async def close(self) -> None:
        """Close the connections."""
        await self.warmth.close()
        await self._client.close()
