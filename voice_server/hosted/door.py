"""Where a hosted agent is reached: by a signed address with a key, by its public one without."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection

from voice_server.errors import ServiceError, ServiceRejected, ServiceUnavailable
from voice_server.hosted.wire import CONVERSATIONS_PATH, PATH, SERVICE, SIGNED_URL_PATH
from voice_server.speech.elevenlabs.access import Access, connect_to
from voice_server.speech.elevenlabs.failures import mapped, of_status

_OVER = frozenset({"done", "failed"})

T = TypeVar("T")

_NO_AGENT = "the agent does not exist; check agent_id in elevenlabs_config (HTTP {status})"


class _Signed(msgspec.Struct):
    signed_url: str


class _Charging(msgspec.Struct):
    llm_price: float | None = None  # in dollars, of all that was generated, heard or not


class _Metadata(msgspec.Struct):
    charging: _Charging | None = None


class _Told(msgspec.Struct):
    status: str = ""
    metadata: _Metadata | None = None


class Door:
    """The way to one agent, for one call. `access` None = the agent is public.

    `http` gives the shared client when a signed address is needed.
    """

    __slots__ = ("_access", "_address", "_agent_id", "_base_url", "_http")

    def __init__(
        self,
        agent_id: str,
        base_url: str,
        access: Access | None,
        http: Callable[[], httpx.AsyncClient],
    ) -> None:
        self._agent_id = agent_id
        self._base_url = base_url
        self._access = access
        self._http = http
        self._address = ""

    async def find(self, within_s: float) -> None:
        """Have the address ready, so that opening takes one round trip less.

        Never raises `ServiceError`: opening asks again.
        """
        if self._access is not None:
            with suppress(ServiceError):
                self._address = await self._signed(self._access, within_s)

    async def open(self, within_s: float) -> ClientConnection:
        """Open the conversation socket; raises `ServiceError`. Whoever opens it closes it."""
        address, self._address = self._address, ""  # it is good for one conversation
        if not address:
            address = await self._fresh(within_s)
        return await connect_to(address, headers={}, within_s=within_s)

    @property
    def has_account(self) -> bool:
        """Whether the service answers questions about conversations."""
        return self._access is not None

    async def llm_micro_usd(self, conversation_id: str, within_s: float) -> int | None:
        """What the agent's language model has cost, None while that is not known.

        Raises `ServiceError`.
        """
        if self._access is None:
            return None
        url = self._access.url(*CONVERSATIONS_PATH, conversation_id)
        told = _read(await self._get(self._access, url, within_s), _Told)
        charging = told.metadata.charging if told.metadata is not None else None
        if told.status not in _OVER or charging is None or charging.llm_price is None:
            return None
        return math.ceil(round(charging.llm_price * 1_000_000, 6))

    async def _fresh(self, within_s: float) -> str:
        if self._access is not None:
            return await self._signed(self._access, within_s)
        query = urlencode({"agent_id": self._agent_id})
        return f"ws{self._base_url.rstrip('/').removeprefix('http')}/{'/'.join(PATH)}?{query}"

    async def _signed(self, access: Access, within_s: float) -> str:
        query = [("agent_id", self._agent_id)]
        url = access.url(*SIGNED_URL_PATH, query=query)
        answer = await self._get(access, url, within_s)
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY):
            raise ServiceRejected(SERVICE, _NO_AGENT.format(status=answer.status_code))
        return _read(answer, _Signed).signed_url

    async def _get(self, access: Access, url: str, within_s: float) -> httpx.Response:
        with mapped():
            return await self._http().get(url, headers=access.headers, timeout=within_s)


def _read(answer: httpx.Response, shape: type[T]) -> T:
    if answer.status_code != httpx.codes.OK:
        raise of_status(answer.status_code, answer.content)
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except msgspec.MsgspecError:
        raise ServiceUnavailable(SERVICE, "sent an answer that cannot be read") from None
