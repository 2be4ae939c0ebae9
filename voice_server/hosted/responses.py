"""All responses of a conversation: which message belongs to which, and which turn says them."""

from __future__ import annotations

from collections import deque

from voice_server.call.events import TurnId
from voice_server.hosted import wire
from voice_server.hosted.response import Response

_KEPT = 16


class Responses:
    """The newest responses, and the scripts of the turns that say some of them.

    Text and audio of a response share a number, and either may come first. After an
    interruption the service may go on with the number it has cut off.
    """

    __slots__ = ("_newest", "_scripts")

    def __init__(self) -> None:
        self._newest: deque[Response] = deque(maxlen=_KEPT)
        self._scripts: dict[TurnId, list[Response]] = {}

    def said(self, said: wire.Said) -> Response | None:
        """A response has its text; None when that is empty."""
        if not said.text:
            return None
        response = next((r for r in self._newest if not r.text and not r.cut), None)
        if response is None:
            response = Response(said.number)
            self._newest.append(response)
        elif said.number is not None:
            response.number = said.number
        response.text = said.text
        return response

    def hear(self, sound: wire.Sound) -> None:
        """Audio for a response; what comes after its end is dropped."""
        same = self._of(sound.number)
        response = next((r for r in same if not r.over), None)
        if response is None:
            if same:
                return
            response = Response(sound.number)  # its text is on the way
            self._newest.append(response)
        elif response.number is None:
            response.number = sound.number
        response.hear(sound)

    def correct(self, told: wire.Corrected) -> None:
        """What is still to come of a response is replaced."""
        for response in reversed(self._newest):
            if response.text == told.original:
                response.correct(told.corrected)
                return

    def complete(self, number: int | None) -> None:
        """All audio of a response was sent."""
        for response in self._of(number):
            response.end()

    def cut(self, number: int) -> bool:
        """Responses up to `number` have no more audio; True when a turn was saying one."""
        taken = {id(response) for script in self._scripts.values() for response in script}
        gone = [r for r in self._newest if (r.number or 0) <= number and not r.cut]
        for response in gone:
            response.abandon()
        return any(id(response) in taken for response in gone)

    def end(self) -> None:
        """No more audio comes for any of them."""
        for response in self._newest:
            response.end()

    def lose(self) -> None:
        """The conversation is lost."""
        for response in self._newest:
            response.lose()

    def bind(self, turn: TurnId, response: Response) -> None:
        """`turn` says this response."""
        response.planned = f"{response.text} "  # a whole sentence, to be said at once
        self._scripts.setdefault(turn, []).append(response)

    def script(self, turn: TurnId) -> list[Response]:
        """The responses that `turn` says so far; more may be added."""
        return self._scripts.get(turn, [])

    def release(self, turn: TurnId) -> None:
        """The turn is over or was interrupted: nobody hears the rest of its responses."""
        for response in self._scripts.pop(turn, []):
            response.abandon()

    def _of(self, number: int | None) -> list[Response]:
        """The responses of a number, cut ones aside; the newest one where it has none."""
        if number is None:
            return list(self._newest)[-1:]
        return [r for r in self._newest if r.number == number or r.number is None]
