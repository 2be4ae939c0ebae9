"""Single words that scams are rich in: weak evidence each, of use in numbers."""

from __future__ import annotations

_RARE = (
    "anydesk arrest arrested bail bitcoin confiscated contraband crypto federal felony forex "
    "fraudulent hacked hacker hackers imprisonment irs itunes jackpot lawsuit lottery "
    "magistrate malware moneygram otp penalties prosecution ssn sweepstakes teamviewer "
    "treasury trojan unauthorised unauthorized usdt virus viruses warrant warrants winner"
)
_COMMON = (
    "attorney charged claim compromised confidential customs debited deposit disconnected "
    "disconnection eligible enforcement expire expired fee fraud grant identity illegal "
    "immediately inspector investigation investment legal medicare microsoft officer paypal "
    "penalty police prize qualify refund reward scam security stolen suspended suspicious "
    "transaction transfer urgent verification verify warranty wire"
)

# Plain word -> how much it alone speaks for a scam, in [0, 1].
KEYWORDS: dict[str, float] = dict.fromkeys(_RARE.split(), 0.25) | dict.fromkeys(
    _COMMON.split(), 0.1
)
