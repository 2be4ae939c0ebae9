"""The web search of a call: with the tenant's key, and when that is refused with the server's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from voice_server.engines.accounts import Account, KeyUses
from voice_server.engines.plan import Spend
from voice_server.errors import ServiceError
from voice_server.llm.search import Found
from voice_server.vault.choice import Engine


class SearchChain:
    """A `Searcher` of several accounts, best first; the last is asked however it has been doing."""

    __slots__ = ("_accounts", "_uses")

    def __init__(self, accounts: Sequence[Account], uses: KeyUses) -> None:
        assert accounts
        self._accounts = tuple(accounts)
        self._uses = uses

    async def search(self, query: str, spend: Spend) -> Found:
        """Search; raises `ServiceError`.

        Another key helps where one is refused or used up; a service that is down stays down, and
        the caller has waited long enough.
        """
        loop = asyncio.get_running_loop()
        *others, last = self._accounts
        for account in others:
            if not account.health(Engine.SEARCH).may_ask(loop.time()):
                continue
            try:
                return await self._ask(account, query, spend)
            except ServiceError as error:
                if error.retryable:
                    raise
        return await self._ask(last, query, spend)

    async def _ask(self, account: Account, query: str, spend: Spend) -> Found:
        health, loop = account.health(Engine.SEARCH), asyncio.get_running_loop()
        began = loop.time()
        try:
            found = await account.search().search(query, self._uses.of(account, spend))
        except ServiceError as error:
            health.failed(loop.time(), error)
            raise
        health.answered(loop.time() - began)
        return found
