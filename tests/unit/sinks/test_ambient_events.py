"""What people and OSC receivers see of ambient mode."""

import io
import json

from heisenberg.core import events
from heisenberg.core.audio import Meters
from heisenberg.core.config import OscConfig
from heisenberg.core.events import Event
from heisenberg.sinks.console import ConsoleSink, Terminal
from heisenberg.sinks.osc import OscSink
from heisenberg.sinks.timeline import draw
from tests.e2e.program import osc_receiver
from tests.osc_decoder import decode_message

VISUAL: dict[str, str | float] = {"prompt": "a calm sea", "intensity": 0.5}


def a_talk(turn: int = 0) -> list[Event]:
    return [
        events.StateChanged(turn=turn, at=0.0, state="idle", previous="starting"),
        events.ModeChanged(turn=turn, at=0.0, mode="ambient"),
        events.PresetChanged(turn=turn, at=0.0, preset="oil"),
        events.TranscriptionPartial(turn=turn, at=2.0, text="The sea"),
        events.SentenceHeard(turn=turn, at=3.1, text="The sea is calm.", start=1.0, end=2.0, reason="complete"),
        events.AnalysisStarted(turn=turn, at=3.2, analysis=1, model="m", preset="oil", audio_at=2.0),
        events.VisualUpdated(turn=turn, at=4.0, field="prompt", value="a calm sea"),
        events.VisualUpdated(turn=turn, at=4.1, field="intensity", value=0.5),
        events.AnalysisCompleted(turn=turn, at=4.2, analysis=1, visual=VISUAL, changed=list(VISUAL), seconds=1.0),
        events.AnalysisFailed(turn=turn, at=9.0, analysis=2, code="llm-timeout", message="It took too long."),
        events.AnalysisFailed(turn=turn, at=9.5, analysis=3, code="interrupted", message="Something more urgent."),
    ]


async def test_a_person_sees_the_sentences_and_the_visuals_as_they_change() -> None:
    stream = io.StringIO()
    sink = ConsoleSink(stream, terminal=Terminal(rewrites=False, is_coloured=False, columns=0), waiting_for="speech")
    for event in a_talk():
        sink.handle(event)
    await sink.close()

    assert [
        "  0.00s   state     waiting for speech",
        "  0.00s   mode      the visuals follow what is said",
        "  0.00s   style     oil",
        "  3.10s   heard     The sea is calm.",
        "  4.00s   visual    prompt = a calm sea",
        "  4.10s   visual    intensity = 0.5",
        "  9.00s   visuals   stay as they are: It took too long. [llm-timeout]",
    ] == stream.getvalue().splitlines()


async def sent(*happened: Event) -> list[tuple[str, object]]:
    """What arrives of *happened*, with the style ``oil`` that sends its prompt elsewhere; without states."""
    with osc_receiver() as receiver:
        config = OscConfig(targets=[f"127.0.0.1:{receiver.port}"])
        addresses = {"oil": {"prompt": "/sd/prompt"}}
        sink = OscSink(config, Meters(), None, "1", addresses_of=lambda preset: addresses.get(preset, {}))
        for event in happened:
            sink.handle(event)
        await sink.close()
    messages = [decode_message(datagram) for datagram in receiver.datagrams]
    return [(address, values[0]) for address, _, values in messages if "heisenberg/state" not in address]


async def test_osc_receivers_get_sentences_fields_and_the_whole() -> None:
    found = await sent(*a_talk())

    assert [
        ("/heisenberg/mode", "ambient"),
        ("/heisenberg/preset", "oil"),
        ("/heisenberg/transcript/partial", "The sea"),
        ("/heisenberg/transcript/final", "The sea is calm."),
        ("/sd/prompt", "a calm sea"),
        ("/visual/intensity", 0.5),
    ] == found[:-1]
    assert "/visual/json" == found[-1][0]
    assert VISUAL == json.loads(str(found[-1][1]))


async def test_a_turn_that_was_dropped_does_not_silence_what_ambient_mode_says_after_it() -> None:
    dropped = [
        events.WakewordDetected(turn=1, at=10.0, name="hey_jarvis", score=0.9, audio_at=9.0),
        events.StateChanged(turn=1, at=10.0, state="listening", previous="idle"),
        events.TurnDropped(turn=1, at=15.0, reason="no_speech"),
        events.VisualUpdated(turn=1, at=15.0, field="prompt", value="of the turn, and too late"),
        events.StateChanged(turn=1, at=15.1, state="idle", previous="listening"),
    ]
    found = await sent(*a_talk(), *dropped, *a_talk(turn=1)[3:9])
    prompts = [value for address, value in found if address == "/sd/prompt"]

    assert ["a calm sea", "a calm sea"] == prompts


def test_a_picture_of_a_talk_can_be_drawn() -> None:
    assert "<svg" in draw(a_talk())
