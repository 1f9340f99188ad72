"""Latency figures of a run that never happened, for tests of what is made of them."""

from heisenberg.bench.latency import Figures, Setting, Turn
from heisenberg.bench.own_times import OwnTimes

CONFIGURED = Setting("as configured", 0.2, 0.45, 0.6)
SETTINGS = (Setting("fast", 0.15, 0.3, 0.5), CONFIGURED, Setting("careful", 0.3, 0.8, 1.0))

OWN = OwnTimes(
    0,
    0.15,
    llm_first_token=0.1,
    llm_first_sentence=0.2,
    llm_first_visual=0.15,
    llm_whole=1.2,
    tts_first_audio=0.15,
    tts_whole=0.6,
)


def turn(setting: str = "as configured", number: int = 0, shift: float = 0.0, outcome: str = "answered") -> Turn:
    """A turn that worked ahead and left everything at its endpoint; all of it *shift* seconds later."""
    if outcome == "not answered":
        return Turn(number, "Why?", setting, outcome, {}, 0.0, {}, {}, 0.0)
    latency = {
        "endpoint": 0.5,
        "stt": 0.35,
        "llm_first_token": 0.45,
        "first_sentence": 0.55,
        "tts_first_audio": 0.7,
        "first_audio": 0.71,
        "first_visual": 0.52,
    }
    spans = {
        "endpoint": (0.0, 0.5),
        "stt": (0.25, 0.35),
        "llm": (0.35, 0.55),
        "visual": (0.35, 0.45),
        "tts": (0.55, 0.7),
    }
    late = {step: seconds + shift for step, seconds in latency.items()}
    moved = {stage: (began + shift, ended + shift) for stage, (began, ended) in spans.items()}
    return Turn(
        number, "Why?", setting, outcome, late, 0.06, moved, {"sound → output": 0.01, "field → datagram": 0.002}, 0.0
    )


def figures(*turns: Turn) -> Figures:
    """*turns*, each of whose questions the models answered alone, too; without any, one for each setting."""
    asked = turns or tuple(turn(setting.name) for setting in SETTINGS)
    return Figures(SETTINGS, asked, (OWN,))
