"""What events mean while the carrier has the caller and rings a human."""

from __future__ import annotations

from voice_server.call import events as e
from voice_server.call import outcome
from voice_server.call.conversation import Conversation
from voice_server.call.deadlines import Deadline
from voice_server.call.handover import Handover
from voice_server.call.outcome import Disposition, EndReason, Outcome

_BACK_MS = 15_000  # for the media stream of a caller whose call nobody took
_LOST = Outcome(Disposition.ABANDONED, EndReason.STREAM_LOST)


def while_away(talk: Conversation, event: e.Event, now: int) -> None:
    """Take an event while the call is TRANSFERRING."""
    handover = talk.handover
    assert handover is not None
    match event:
        case e.TransferBegun():
            handover.rung = True
            talk.deadlines.set(Deadline.TRANSFER, now + talk.policy.transfer_wait_ms)
        case e.TransferEnded(reached=True):
            talk.end(handover.ending, now)
        case e.TransferEnded():
            handover.rung = False
            talk.deadlines.set(Deadline.TRANSFER, now + _BACK_MS)
        case e.MediaStarted():
            talk.come_back(now)
        case e.MediaStopped(cause=e.StopCause.CARRIER_ENDED):
            talk.end(talk.agent.outcome_if_gone(EndReason.CARRIER_ENDED), now)
        case e.TimePassed() if talk.deadlines.take_due(now) is not None:
            # Bad news would have come by now: somebody has taken the call.
            talk.end(handover.ending if handover.rung else _LOST, now)
        case e.ServerClosing():
            talk.end(handover.ending if handover.rung else outcome.SERVER_CLOSING, now)
        case _:
            _keep(talk, handover, event, now)


def _keep(talk: Conversation, handover: Handover, event: e.Event, now: int) -> None:
    """Late work of the turns before goes into the books; nothing begins by it."""
    match event:
        case e.Consumed():
            talk.out += talk.record.consumed(event.item, event.quantity)
        case e.ToolReturned():
            talk.agent.tool_returned(event)
        case e.FinalTranscript() if text := event.text.strip():
            talk.dialogue.caller_said(text)
            talk.out += talk.record.line("caller", text, "", now, now)
        case e.RiskAssessed():
            talk.out += talk.record.assessed(event.assessment, event.tail)[1]
            talk.agent.blocked_tools = talk.record.risk.blocked_tools
        case e.PartFailed(part=e.Part.TRANSCRIBER):
            handover.deaf = True
        case e.ConversationOpened():
            talk.record.conversation_id = event.conversation_id
        case _:
            pass
