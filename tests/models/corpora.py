"""A small made-up corpus with sources whose names the licences know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.scam.corpus import Conversation, Turn

SCAM = (
    "your account has been suspended press one to speak with an officer",
    "there is a warrant for your arrest pay with gift cards immediately",
    "your computer has a virus give me remote access to remove it",
    "your warranty has expired press one to renew your coverage",
)
BENIGN = (
    "i would like to book a plumber for my kitchen sink tomorrow",
    "can i get a large latte with oat milk and a muffin please",
    "i need a doctor appointment on monday in the morning please",
    "please check the balance of my savings account thank you",
)

PARCEL = "your parcel is held at the depot pay the customs fee by bank transfer today"
VIRUS = "your computer has a virus install this program so that i can see your screen"


def line(source: str, number: int, scam: bool, *turns: tuple[str, str]) -> dict[str, object]:
    return {
        "id": f"{source}-{number}",
        "source": source,
        "licence": "made up",
        "label": "scam" if scam else "benign",
        "cluster": f"{number}",
        "turns": [{"speaker": speaker, "text": text} for speaker, text in turns],
    }


def scam(number: int, kind: str | None, text: str, **more: Any) -> Conversation:
    """A scam that says of which kind it is; `more` are other fields."""
    turns = (Turn("callee", "hello who is this"), Turn("caller", text))
    fields = {"id": f"{number}", "cluster": f"{number}", "source": "ours", "label": "scam"}
    return Conversation(**{**fields, "scam_type": kind, "turns": turns, **more})


def lines() -> list[dict[str, object]]:
    made = []
    for number in range(8):
        scam, benign = SCAM[number % 4], BENIGN[number % 4]
        made += [
            line("ncsu_robocall", number, True, ("caller", scam)),
            line("bothbosu", number, True, ("caller", scam), ("callee", "oh really tell me more")),
            line("bothbosu", number + 50, False, ("caller", benign), ("callee", "yes of course")),
            line("botbots", number, False, ("agent", "how can i help"), ("customer", benign)),
            line("switchboard", number, False, ("caller", "we talk about the weather a lot")),
        ]
    return made


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(each) + "\n" for each in lines())
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    (folder / "dev.jsonl").write_text(text, encoding="utf-8")
    return folder
