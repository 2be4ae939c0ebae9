"""How an agent wants its calls to run: every number the core decides by."""

from __future__ import annotations

import msgspec

from detectors.assessment import Severity


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """The price of a tariff item: `micro_usd` for `per` units, rounded up to a micro-dollar."""

    item: str
    micro_usd: int
    per: int


class Policy(msgspec.Struct, frozen=True):
    """One agent's rules. Times in ms; phrases empty = say nothing."""

    greeting: str = "Hello, how can I help you today?"
    end_of_turn_ms: int = 700  # silence after which the caller has finished
    commit_ms: int = 240  # silence after which the transcriber is asked for a final
    transcript_wait_ms: int = 4_000  # a final that takes longer is given up and asked for again
    interruptible: bool = True
    barge_in_ms: int = 140  # speech over the agent that counts as an interruption
    silence_ms: int = 8_000
    silence_prompts: tuple[str, ...] = ("Are you still there?",)
    end_on_silence: bool = True
    silence_closing: str = "I can't hear you, so I'll end the call here. Goodbye."
    max_call_ms: int = 300_000
    max_call_closing: str = "I'm sorry, we have reached the time limit of this call. Goodbye."
    digits_gap_ms: int = 2_500  # a pause after which pressed keys are taken as complete
    reply_wait_ms: int = 5_000  # a language model that says nothing for so long has failed
    # Said when sound is owed and none comes; none of them = silence is what the tenant wants.
    fillers: tuple[str, ...] = (
        "One moment, please.",
        "I'm still on it.",
        "Just a moment longer.",
        "Thank you for waiting.",
    )
    tool_fillers: tuple[str, ...] = ("Let me check that for you.", "I'm still checking.")
    filler_ms: int = 1_250  # silence after which one is due; a busy loop stays below 1.5 s so
    closing_ms: int = 15_000  # closing words that take longer are cut
    apology: str = "I'm sorry, something went wrong on my side. Could you say that again?"
    failure_closing: str = "I'm sorry, I have a technical problem. Please call again later."
    server_closing: str = "I'm sorry, I have to end this call now. Please call back in a minute."
    detect_scams: bool = True
    # The ladder of the scam shield: from which band on each step is taken, None = never.
    warn_at: Severity | None = Severity.HIGH  # tell the person the agent protects
    verify_at: Severity | None = Severity.HIGH  # ask who calls and where to call back
    block_at: Severity | None = Severity.HIGH  # refuse the sensitive tools
    hand_over_at: Severity | None = None
    end_at: Severity | None = Severity.CRITICAL
    sensitive_tools: tuple[str, ...] = ("look_up_order", "cancel_order")
    scam_challenge: str = (
        "Before we go on: which company are you calling from, and on which number "
        "can we call you back to check that?"
    )
    scam_hand_over: str = "I'll put you through to a colleague for this. One moment, please."
    scam_closing: str = "I can't help with this request, so I'm ending the call. Goodbye."
    # The whole price list: an engine that takes over in mid-call has its price. 2 KB of a journal.
    tariff: tuple[Rate, ...] = ()
    carrier_items: tuple[str, ...] = ()  # what the carrier bills per started minute
    stream_items: tuple[str, ...] = ()  # the same, of each media stream
    transfer_wait_ms: int = 0  # for a human to take the call; 0 = nobody brings the caller back
    transfer_missed: str = (
        "I'm sorry, nobody could take your call just now. Is there anything I can do for you?"
    )

    @property
    def phrases(self) -> tuple[str, ...]:
        """What should be at hand before it is needed, the most urgent first."""
        closings = (self.apology, self.failure_closing, self.server_closing)
        return tuple(filter(None, (*self.fillers, *self.tool_fillers, *closings)))
