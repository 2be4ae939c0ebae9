"""The pytest plugin: recorded calls as fixtures, so that a tenant's own tests can use them.

    def test_a_refund_is_booked(replay):
        call = replay("recordings/refund.journal")
        assert call.outcome == "booked"
        assert "refund" in call.said("agent")

pytest loads this module in every run of every project beside it, so it imports what it needs
only when a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from voice_server.call import Policy
    from voice_server.ports import LanguageModel
    from voice_server.runtime.replay import ReplayedCall


class Replay:
    """Replays journals; what the fixture `replay` returns."""

    def __init__(self, find: Callable[[Path | str], Path]) -> None:
        self._find = find

    def __call__(
        self, journal: Path | str, *, exact: bool = True, policy: Policy | None = None
    ) -> ReplayedCall:
        """Run a journal through the call core.

        The test fails where the core does not do what it did when the call was recorded;
        with `exact=False`, or with another `policy`, read `difference` instead.
        """
        from voice_server.errors import JournalError
        from voice_server.runtime.replay import replay

        path = self._find(journal)
        try:
            call = replay(path, policy=policy)
        except JournalError as error:
            pytest.fail(str(error), pytrace=False)
        if exact and policy is None and call.difference is not None:
            pytest.fail(_explain(path, call), pytrace=False)
        return call


class Simulate:
    """Lets the present agent answer a recorded caller; what the fixture `simulate` returns."""

    def __init__(self, find: Callable[[Path | str], Path]) -> None:
        self._find = find

    def __call__(
        self,
        journal: Path | str,
        *,
        language_model: LanguageModel | None = None,
        **policy: Any,
    ) -> ReplayedCall:
        """Re-run a journal; keywords are fields of the policy to change."""
        import msgspec

        from voice_server.errors import JournalError
        from voice_server.testing.simulate import simulate

        path = self._find(journal)
        try:
            return simulate(path, policy, language_model=language_model)
        except (JournalError, msgspec.ValidationError) as error:
            pytest.fail(str(error), pytrace=False)


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Replay:
    """Replays a recorded call: `replay("recordings/refund.journal").outcome`."""
    return Replay(_finder(request))


@pytest.fixture
def simulate(request: pytest.FixtureRequest) -> Simulate:
    """Plays a recorded caller to the present agent: `simulate(path, end_of_turn_ms=900)`."""
    return Simulate(_finder(request))


def _finder(request: pytest.FixtureRequest) -> Callable[[Path | str], Path]:
    places = (request.path.parent, request.config.rootpath)

    def find(journal: Path | str) -> Path:
        """A journal beside the test, else under the root of the tests."""
        for place in places:
            if (path := place / journal).is_file():
                return path
        looked = " and ".join(str(place) for place in dict.fromkeys(places))
        pytest.fail(f"no journal {journal}; looked in {looked}", pytrace=False)

    return find


def _explain(path: Path, call: ReplayedCall) -> str:
    from voice_server.runtime.replay import describe

    found = call.difference
    assert found is not None
    return (
        f"{path.name} no longer replays to the call that was recorded.\n"
        f"First difference at event {found.entry} ({found.event}), "
        f"{found.at_ms / 1000:.2f} s into the call:\n"
        f"  recorded: {describe(found.recorded) or 'nothing'}\n"
        f"  replayed: {describe(found.replayed) or 'nothing'}\n"
        "Record it anew if the change is meant, or pass exact=False and look at `difference`."
    )
