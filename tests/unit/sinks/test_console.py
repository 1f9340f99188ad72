"""What a newcomer sees of a turn."""

import io
import re

import pytest

from heisenberg.core import events
from heisenberg.sinks.console import ConsoleSink, Terminal

PIPE = Terminal(rewrites=False, is_coloured=False, columns=0)
PLAIN_TERMINAL = Terminal(rewrites=True, is_coloured=False, columns=60)
TERMINAL = Terminal(rewrites=True, is_coloured=True, columns=60)


def a_turn() -> list[events.Event]:
    return [
        events.WakewordDetected(turn=1, at=2.41, name="hey_jarvis", score=0.97, audio_at=2.3),
        events.StateChanged(turn=1, at=2.42, state="listening", previous="idle"),
        events.TranscriptionPartial(turn=1, at=3.1, text="décris"),
        events.TranscriptionPartial(turn=1, at=3.5, text="décris la"),
        events.TranscriptionFinal(
            turn=1, at=4.9, text="Décris la mer.", language="fr", audio_seconds=2, stt_seconds=0.3
        ),
        events.StateChanged(turn=1, at=4.91, state="thinking", previous="listening"),
        events.LlmStarted(turn=1, at=4.92, model="smollm2"),
        events.VisualUpdated(turn=1, at=5.4, field="prompt", value="vagues sombres"),
        events.OscSent(turn=1, at=5.41, address="/visual/prompt"),
        events.VisualUpdated(turn=1, at=5.5, field="intensity", value=0.4),
        events.LlmToken(turn=1, at=5.6, text="La mer"),
        events.LlmToken(turn=1, at=5.7, text=" dort. Et"),
        events.LlmSentence(turn=1, at=5.71, text="La mer dort."),
        events.LlmComplete(turn=1, at=6.0, text="La mer dort.", visual={}, tokens=9),
        events.StateChanged(turn=1, at=6.1, state="speaking", previous="thinking"),
        events.SpeakingFinished(turn=1, at=9.0, played_seconds=2.9, interrupted=False),
        events.TurnCompleted(turn=1, at=9.1, latency={"stt": 0.31, "first_visual": 0.8}),
    ]


async def shown(*happened: events.Event, terminal: Terminal = PIPE, shows_osc: bool = False) -> str:
    stream = io.StringIO()
    sink = ConsoleSink(stream, shows_osc=shows_osc, terminal=terminal)
    for event in happened:
        sink.handle(event)
    await sink.close()
    return stream.getvalue()


def on_screen(output: str) -> list[str]:
    """The lines that are left when the terminal has obeyed."""
    lines = [line.rpartition("\r\x1b[2K")[2] for line in output.split("\n")]
    return [re.sub(r"\x1b\[\d+m", "", line).rstrip() for line in lines]


async def test_a_turn_in_a_pipe_is_a_few_plain_lines() -> None:
    output = await shown(*a_turn())

    assert output.splitlines() == [
        "  2.41s   wake      hey_jarvis (0.97)",
        "  2.42s   state     listening …",
        '  4.90s   you       "Décris la mer." [fr]',
        "  4.91s   state     thinking …",
        "  5.40s   visual    prompt = vagues sombres",
        "  5.50s   visual    intensity = 0.4",
        "  5.71s   answer    La mer dort.",
        "  6.10s   state     speaking …",
        "  9.00s   spoke     2.9 s",
        "  9.10s   done      after the last word: transcript 0.31 s · first visual 0.80 s",
    ]


async def test_each_interruption_loss_and_stall_is_one_clear_line() -> None:
    output = await shown(
        events.SpeakingPaused(turn=1, at=1.0),
        events.SpeakingResumed(turn=1, at=2.5),
        events.SpeakingFinished(turn=1, at=3.0, played_seconds=1.5, interrupted=True),
        events.TurnDropped(turn=1, at=3.0, reason="interrupted"),
        events.ItemsDropped(turn=1, at=4.0, where="osc", count=12),
        events.Stalled(turn=1, at=5.0, what="audio", seconds=2.04),
    )

    assert output.splitlines() == [
        "  1.00s   paused    somebody speaks; the answer waits",
        "  2.50s   resumed   those were no words; the answer goes on",
        "  3.00s   spoke     1.5 s, cut short",
        "  3.00s   dropped   interrupted by a new question",
        "  4.00s   lost      osc was too slow or out of reach; lost so far: 12",
        "  5.00s   stalled   listening stood still for 2.0 s",
    ]


async def test_only_a_flood_of_refused_commands_is_a_line_since_the_log_says_why() -> None:
    counts = [1, 2, 40]
    output = await shown(*(events.ItemsDropped(turn=0, at=4.0, where="osc_in", count=count) for count in counts))

    assert ["  4.00s   ignored   38 OSC commands (see the log)"] == output.splitlines()


async def test_a_terminal_ends_up_with_the_same_lines() -> None:
    output = await shown(*a_turn(), terminal=TERMINAL)

    unwrapped = "\n".join(on_screen(output)).replace("\n" + " " * 20, " ")
    assert unwrapped == (await shown(*a_turn()))
    assert "\x1b[1m" in output


async def test_words_grow_in_place_on_a_terminal() -> None:
    output = await shown(*a_turn()[2:4], terminal=PLAIN_TERMINAL)

    assert output == (
        "\r\x1b[2K  3.10s   hearing   décris"
        "\r\x1b[2K  3.50s   hearing   décris la"
        "\r\x1b[2K"
    )  # fmt: skip


async def test_the_rest_of_an_answer_grows_after_its_first_sentence() -> None:
    output = await shown(*a_turn()[10:13], events.LlmToken(turn=1, at=5.8, text=" le"), terminal=PLAIN_TERMINAL)

    assert "  5.70s   answer    La mer dort. Et\r" in output
    assert output.endswith("  5.71s   answer    La mer dort.\n\r\x1b[2K  5.80s   answer    Et le\r\x1b[2K")


@pytest.mark.parametrize("letter", ["x", "海", "é"])
async def test_a_growing_line_never_wraps(letter: str) -> None:
    token = events.LlmToken(turn=1, at=5.8, text=letter * 500)
    output = await shown(token, terminal=PLAIN_TERMINAL)

    line = output.split("\r\x1b[2K")[1]
    width = sum(2 if character == "海" else 1 for character in line)
    assert 57 <= width < 60


async def test_long_lines_wrap_below_their_text() -> None:
    output = await shown(events.LlmSentence(turn=1, at=5.8, text="word " * 40), terminal=PLAIN_TERMINAL)

    first, *others = output.rstrip().split("\n")
    assert first.startswith("  5.80s   answer    word")
    assert others
    assert all(line.startswith(" " * 20 + "word") and len(line) < 60 for line in others)


async def test_osc_messages_are_shown_on_request() -> None:
    assert "osc       /visual/prompt" in await shown(*a_turn(), shows_osc=True)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.TurnDropped(turn=1, at=7, reason="no_speech"), "dropped   nothing was said after the wake word"),
        (events.TurnDropped(turn=1, at=7, reason="stt_empty"), "dropped   no words were understood"),
        (events.TurnDropped(turn=1, at=7, reason="new"), "dropped   new"),
        (events.Failed(turn=1, at=7, code="llm-timeout", message="Too slow."), "failed    Too slow. [llm-timeout]"),
        (events.InputLost(turn=1, at=7), "input     the microphone was lost; looking for it …"),
        (events.InputRestored(turn=1, at=7), "input     the microphone is back"),
        (
            events.WorkerFailed(turn=1, at=7, model="m", reason="Killed."),
            "model     m ended: Killed; it is started again",
        ),
        (events.WorkerStarted(turn=1, at=7, model="m", reason="start"), "model     m is ready"),
        (events.StateChanged(turn=0, at=7, state="idle", previous="idle"), "state     waiting for the wake word"),
        (
            events.ConfigurationChanged(turn=0, at=7, keys=["osc.targets", "visual.preset"]),
            "config    the file changed; in force now: osc.targets, visual.preset",
        ),
        (events.PersonalityChanged(turn=0, at=7, personality="poet"), "manner    poet, from the next answer on"),
        (events.TurnCompleted(turn=1, at=7, latency={}), "done      answered"),
    ],
)
async def test_what_goes_wrong_is_said_in_plain_words(event: events.Event, expected: str) -> None:
    assert await shown(event) == f"  7.00s   {expected}\n"


async def test_a_model_cannot_command_the_terminal() -> None:
    output = await shown(events.LlmSentence(turn=1, at=1, text="\x1b[2Jgone\x07"), terminal=PLAIN_TERMINAL)

    assert "\x1b[2J" not in output
    assert "\\x1b[2Jgone\\x07" in output


async def test_accents_do_not_stop_a_terminal_that_lacks_them() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    sink = ConsoleSink(stream, terminal=PIPE)
    sink.handle(events.LlmSentence(turn=1, at=1, text="été"))
    await sink.close()

    assert raw.getvalue().rstrip() == b"  1.00s   answer    ?t?"


async def test_a_reader_that_leaves_is_no_failure() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    for stream in (Gone(), io.StringIO()):
        sink = ConsoleSink(stream, terminal=PIPE)
        if not isinstance(stream, Gone):
            stream.close()
        for event in a_turn():
            sink.handle(event)
        await sink.close()


def test_colours_need_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert Terminal.of(Tty()).is_coloured
    assert not Terminal.of(io.StringIO()).is_coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert Terminal.of(Tty()).rewrites
    assert not Terminal.of(Tty()).is_coloured
    monkeypatch.setenv("TERM", "dumb")
    assert not Terminal.of(Tty()).rewrites


async def test_every_event_can_be_shown() -> None:
    samples = {str: "text", float: 1.0, int: 1, bool: True}
    for kind in events.all_events():
        fields = {name: samples.get(hint, {}) for name, hint in kind.__annotations__.items()}

        await shown(kind(**{"turn": 1, "at": 0.0, **fields}), terminal=TERMINAL, shows_osc=True)
