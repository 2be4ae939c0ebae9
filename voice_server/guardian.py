"""Warns the person an agent protects while a suspicious call is still going on."""

from __future__ import annotations

import logging

from detectors.assessment import Assessment
from voice_server.ports import CallFacts
from voice_server.twilio.rest import TwilioRest

log = logging.getLogger(__name__)

_SIGNS_NAMED = 3


class SmsGuardian:
    """Sends the tenant an SMS from the number that was called.

    Without a client, or for a tenant without a phone number, the warning stays in the live
    view and in the database, and the log says so.
    """

    def __init__(self, twilio: TwilioRest | None) -> None:
        self._twilio = twilio

    async def warn(self, facts: CallFacts, assessment: Assessment) -> None:
        """Tell that a call looks like a scam; raises `ServiceError`."""
        to = facts.agent.tenant_phone
        if self._twilio is None or not to:
            log.warning(
                "a scam warning could not be sent: TWILIO_ACCOUNT_SID or the tenant's phone "
                "number is missing",
                extra={"call": facts.call_id},
            )
            return
        sender = facts.agent.phone_number
        await self._twilio.send_message(to=to, sender=sender, body=_words(facts, assessment))


def _words(facts: CallFacts, assessment: Assessment) -> str:
    ending = facts.caller_number[-4:] if facts.caller_number.startswith("+") else ""
    who = f"a caller whose number ends in {ending}" if ending else "a caller without a number"
    kind = f" ({assessment.scam_type.replace('_', ' ')})" if assessment.scam_type else ""
    strongest = sorted(assessment.findings, key=lambda finding: -finding.weight)
    names = dict.fromkeys(finding.name.replace("_", " ") for finding in strongest)
    signs = ", ".join(list(names)[:_SIGNS_NAMED])
    return (
        f"{facts.agent.name} is talking to {who}: it looks like a scam{kind}. "
        f"{f'Signs: {signs}. ' if signs else ''}"
        "Do not pay anything or pass on any code to this caller."
    )
