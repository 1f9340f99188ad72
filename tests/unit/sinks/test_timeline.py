"""The timeline picture: what a reader of the SVG sees."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core import events
from heisenberg.core.errors import SinkError
from heisenberg.core.events import Event
from heisenberg.sinks.picture.page import WIDTH_PX, Page, lay_out
from heisenberg.sinks.timeline import MAX_EVENTS, TimelineSink, draw
from tests.unit.sinks.turns import Script, dropped_turn, failed_turn, long_turn, spoken_turn, typed_turn

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """The visible texts, top to bottom as they were drawn."""
    return ["".join(node.itertext()) if not len(node) else node[-1].tail or "" for node in _nodes(svg, "text")]


def hints(svg: str) -> list[str]:
    """What is shown when the pointer rests on something."""
    return [node.text or "" for node in _nodes(svg, "title")]


def _nodes(svg: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(SVG + tag))


def overlapping(page: Page) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other."""
    return [(a.text, b.text) for a, b in itertools.combinations(page.labels, 2) if a.overlaps(b)]


def test_a_spoken_turn_shows_everything_that_happened_in_it() -> None:
    shown = texts(draw(spoken_turn()))

    for expected in (
        "Turn 1 · “Tell me about the ocean at night.”",
        "first sound 1.40 s after the question",
        "listening 2.5 s",
        "thinking 0.8 s",
        "speaking 3.8 s",
        "hey_jarvis · score 0.97",
        "1.7 s, then 0.60 s of silence",
        "Tell me",
        "Tell me about the",
        "“Tell me about the ocean at night.”",
        "41 tokens · 43 per second · smollm2-135m",
        "“Further out it is black and calm, and the stars lie on it like spilled salt.”",
        "3.8 s spoken",
        "21 datagrams",
        "/visual/prompt",
        "“moonlit ocean, bioluminescent waves, slow drift”",
        "0.583",
        "/heisenberg/transcript/final",
        "0.60 s endpoint decided",
        "1.40 s first sound heard",
        "1.80 s first visual",
    ):
        assert expected in shown


def test_lanes_stand_in_the_order_in_which_things_happen() -> None:
    names = ["State", "Wake word", "Your speech", "Transcript", "Language model", "Sentences", "Spoken reply", "OSC"]
    lanes = [*names, "Latency"]
    page = lay_out(spoken_turn())
    tops = {label.text: label.top for label in page.labels if label.text in lanes}

    assert lanes == sorted(tops, key=lambda lane: tops[lane])


def test_the_latencies_start_at_the_true_end_of_speech() -> None:
    """Given an endpoint at 3.6 s that waited 0.6 s, the dashed line and the brackets stand at second 3."""
    svg = draw(spoken_turn())
    second_3 = next(node.get("x") for node in _nodes(svg, "text") if node.text == "3 s")
    dashed = next(node.get("d") or "" for node in _nodes(svg, "path") if "dashed" in (node.get("class") or ""))

    assert second_3 is not None
    assert dashed.startswith(f"M{second_3} ")
    assert 7 == svg.count(f'd="M{second_3} ') - 2  # the grid line and the dashed line are not brackets


def test_french_is_shown_as_it_is_spoken() -> None:
    question = "Parle-moi de l'océan, s'il te plaît : où est le cœur ?"
    shown = texts(draw(spoken_turn(question=question, language="fr")))

    assert f"“{question}”" in shown
    assert "fr" in shown


def test_what_people_and_models_say_cannot_break_out_of_the_picture() -> None:
    nasty = "</text><script>alert('1 & 2')</script> \x00\x1b[31m \ud800"
    svg = draw(spoken_turn(question=nasty, reply=(nasty, nasty)))

    assert "<script" not in svg
    assert [] == _nodes(svg, "script")
    assert any("</text><script>alert('1 & 2')</script>" in text for text in texts(svg))
    assert svg.encode("utf-8")


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    svg = draw(spoken_turn())

    assert 1 == svg.count("http")  # the name of the format itself
    assert "url(" not in svg
    assert "@import" not in svg


def test_it_follows_the_theme_of_the_reader_on_its_own_background() -> None:
    svg = draw(spoken_turn())
    card = next(node for node in _nodes(svg, "rect") if node.get("class") == "card")

    assert str(WIDTH_PX - 2) == card.get("width")
    assert "@media (prefers-color-scheme:dark)" in svg


@pytest.mark.parametrize(
    "script",
    [
        spoken_turn,
        lambda: spoken_turn(pace=0.22),
        lambda: spoken_turn(pace=7.5),
        lambda: spoken_turn(question="word " * 200, reply=("long " * 90, "And short.")),
        lambda: spoken_turn(question="夜の海について教えてください 🌊" * 5, reply=("🌊" * 60, "星")),
        lambda: [*spoken_turn(1), *dropped_turn(2, 20), *failed_turn(3, 40), *spoken_turn(4, 60)],
        long_turn,
        typed_turn,
        lambda: interrupted_turn(),
        list,
    ],
    ids=["8 s", "2 s", "60 s", "long texts", "wide letters", "three turns", "dense", "typed", "interrupted", "nothing"],
)
def test_no_two_texts_overlap_and_all_stay_on_the_card(script: Callable[[], list[Event]]) -> None:
    page = lay_out(script())

    assert [] == overlapping(page)
    assert all(0 < label.left and label.right < WIDTH_PX and label.bottom < page.height for label in page.labels)


_WORDS = st.text(max_size=80)
_ANYTHING = st.one_of(
    st.builds(events.StateChanged, turn=st.integers(0, 2), at=st.floats(0, 30), state=_WORDS, previous=_WORDS),
    st.builds(events.SpeechStarted, turn=st.just(1), at=st.floats(0, 30)),
    st.builds(events.SpeechEnded, turn=st.just(1), at=st.floats(0, 30), audio_seconds=st.floats(0, 30), reason=_WORDS),
    st.builds(events.TranscriptionPartial, turn=st.just(1), at=st.floats(0, 30), text=_WORDS),
    st.builds(events.LlmStarted, turn=st.integers(0, 2), at=st.floats(0, 30), model=_WORDS),
    st.builds(events.LlmToken, turn=st.just(1), at=st.floats(0, 30), text=_WORDS),
    st.builds(events.LlmSentence, turn=st.just(1), at=st.floats(0, 30), text=_WORDS),
    st.builds(events.SpeakingStarted, turn=st.just(1), at=st.floats(0, 30)),
    st.builds(events.SpeakingPaused, turn=st.just(1), at=st.floats(0, 30)),
    st.builds(events.SpeakingResumed, turn=st.just(1), at=st.floats(0, 30)),
    st.builds(
        events.SpeakingFinished,
        turn=st.just(1),
        at=st.floats(0, 30),
        played_seconds=st.floats(0, 30),
        interrupted=st.booleans(),
    ),
    st.builds(events.OscSent, turn=st.integers(0, 2), at=st.floats(0, 30), address=_WORDS),
    st.builds(
        events.VisualUpdated, turn=st.just(1), at=st.floats(0, 30), field=_WORDS, value=st.one_of(_WORDS, st.floats())
    ),
    st.builds(events.Failed, turn=st.integers(0, 2), at=st.floats(0, 30), code=_WORDS, message=_WORDS),
    st.builds(
        events.TurnCompleted,
        turn=st.just(1),
        at=st.floats(0, 30),
        latency=st.dictionaries(_WORDS, st.floats(), max_size=9),
    ),
)


@given(st.lists(_ANYTHING, max_size=40))
def test_any_events_in_any_order_make_a_readable_picture(happened: list[Event]) -> None:
    page = lay_out(happened)

    assert ET.fromstring(page.svg).tag == f"{SVG}svg"
    assert [] == overlapping(page)


def test_without_a_turn_the_picture_says_so_and_why() -> None:
    failed = events.Failed(turn=0, at=0.4, code="audio-no-device", message='No microphone named "USB".')
    shown = texts(draw([failed]))

    assert "No turn: nobody said the wake word, and nothing was typed." in shown
    assert 'audio-no-device: No microphone named "USB".' in shown


def test_a_dropped_turn_says_why() -> None:
    assert "dropped: nobody spoke" in texts(draw(dropped_turn()))


def test_a_failed_turn_gives_the_code_and_the_message() -> None:
    shown = texts(draw(failed_turn()))

    assert "failed: llm-timeout" in shown
    assert "llm-timeout: The language model did not answer within 30 s." in shown


def interrupted_turn() -> list[Event]:
    """Spoken over three times: a cough, a cough, a word."""
    script = Script().add(1, events.SpeakingStarted)
    for paused, resumed in ((2.0, 3.0), (4.0, 5.5)):
        script.add(paused, events.SpeakingPaused).add(resumed, events.SpeakingResumed)
    script.add(6.0, events.SpeakingPaused)
    script.add(6.8, events.SpeakingFinished, played_seconds=2.5, interrupted=True)
    return script.add(6.8, events.TurnDropped, reason="interrupted").events


def test_a_reply_that_waits_has_gaps_and_one_that_was_interrupted_an_end_mark() -> None:
    svg = draw(interrupted_turn())
    heard = [node for node in _nodes(svg, "rect") if node.get("class") == "voice"]
    seconds = [label for label in lay_out(interrupted_turn()).labels if label.text == "2 s"]

    assert 3 == len(heard)
    assert ["it waited", "it waited", "interrupted"] == hints(svg)[1:]
    assert "2.5 s spoken, interrupted" in texts(svg)
    assert "dropped: another turn began" in texts(svg)
    assert float(heard[0].get("x", 0)) + float(heard[0].get("width", 0)) == pytest.approx(
        (seconds[0].left + seconds[0].right) / 2, abs=0.5
    )


def test_a_reply_that_is_heard_without_a_pause_is_one_bar_without_a_mark() -> None:
    svg = draw(spoken_turn())

    assert 1 == sum(node.get("class") == "voice" and node.get("height") == "14.0" for node in _nodes(svg, "rect"))
    assert "interrupted" not in hints(svg)


def test_losses_and_stalls_are_told_in_words() -> None:
    script = (
        Script().add(1, events.ItemsDropped, where="osc", count=3).add(2, events.Stalled, what="audio", seconds=2.1)
    )
    shown = texts(draw(script.events))

    assert "osc: 3 lost so far" in shown
    assert "audio stood still for 2.1 s" in shown


def test_a_turn_that_was_cut_off_is_called_unfinished() -> None:
    cut_off = [event for event in spoken_turn() if event.at < 5]

    assert "not finished" in texts(draw(cut_off))


def test_a_typed_turn_is_measured_from_the_question() -> None:
    shown = texts(draw(typed_turn()))

    assert "Turn 1 · a typed question" in shown
    assert "from the question" in shown
    assert "Your speech" not in shown


def test_only_the_first_three_turns_are_shown_and_the_rest_counted() -> None:
    turns = [event for turn in range(1, 8) for event in spoken_turn(turn, turn * 20.0)]
    shown = texts(draw(turns))

    assert "the first 3 of 7 turns, seconds since the start" in shown
    assert ["Turn 1", "Turn 2", "Turn 3"] == [text[:6] for text in shown if text.startswith("Turn ")]


def test_trouble_between_turns_does_not_stretch_the_turn() -> None:
    """Given a model's process that dies a minute after the turn, it is told below, and the axis ends with the turn."""
    died = events.WorkerFailed(turn=1, at=68.0, model="whisper-tiny.en", reason="signal 9")
    shown = texts(draw([*spoken_turn(), died]))

    assert "whisper-tiny.en ended: signal 9" in shown
    assert "68.0 s" in shown
    assert "9 s" not in shown


def test_a_long_text_is_cut_with_an_ellipsis_and_kept_as_a_hint() -> None:
    question = "Tell me " + "everything about the sea " * 15
    svg = draw(spoken_turn(question=question))

    assert any(text.startswith("“Tell me everything") and text.endswith("…") for text in texts(svg))
    assert any(question.strip() in hint for hint in hints(svg))


def test_a_growing_transcript_keeps_its_newest_words() -> None:
    assert "…like to know everything about the deep and dark" in texts(draw(long_turn()))


def test_the_last_value_of_a_field_that_changes_often_is_shown() -> None:
    script = Script().add(1, events.WakewordDetected, name="hey", score=1.0, audio_at=1.0)
    for n in range(30):
        script.add(2 + n / 10, events.VisualUpdated, field="hue", value=n / 100).sent(2 + n / 10, "/visual/hue")
    shown = texts(draw(script.add(6, events.LlmComplete, text="", visual={}, tokens=0).events))

    assert "0.29" in shown
    assert "0.15" not in shown  # there is no room between its neighbours


def test_a_field_with_an_odd_name_stands_on_the_row_of_its_address() -> None:
    script = Script().add(1, events.VisualUpdated, field="main colour", value="teal").sent(1, "/visual/main_colour")
    shown = texts(draw(script.events))

    assert "“teal”" in shown
    assert 1 == sum("colour" in text for text in shown)


def test_fields_are_shown_without_osc_targets() -> None:
    quiet = [event for event in spoken_turn() if not isinstance(event, events.OscSent)]
    shown = texts(draw(quiet))

    assert "Visual fields" in shown
    assert "“calm”" in shown


def test_many_addresses_are_folded_into_one_row() -> None:
    script = Script().sent(1, *(f"/visual/field_{n}" for n in range(20)))

    assert "6 other addresses" in texts(draw(script.events))


def test_thousands_of_tokens_are_drawn_as_one_small_shape() -> None:
    script = Script().add(0, events.LlmStarted, model="m").tokens(0, 5, ["a"] * 5000)
    svg = draw(script.events)

    assert "5000 tokens · 1000 per second · m" in texts(svg)
    assert len(svg) < 20_000


# ── the sink ─────────────────────────────────────────────────────────────────────────────────────


async def test_closing_the_sink_leaves_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "timeline.svg"
    sink = TimelineSink(path)
    for event in spoken_turn():
        sink.handle(event)
    await sink.close()

    assert draw(spoken_turn()) == path.read_text(encoding="utf-8")


async def test_the_sink_counts_the_turns_it_does_not_draw(tmp_path: Path) -> None:
    sink = TimelineSink(tmp_path / "timeline.svg")
    for turn in range(1, 10):
        for event in spoken_turn(turn, turn * 20.0):
            sink.handle(event)
    await sink.close()

    assert "the first 3 of 9 turns, seconds since the start" in texts((tmp_path / "timeline.svg").read_text("utf-8"))


async def test_the_end_of_a_turn_is_drawn_even_after_a_flood_of_tokens(tmp_path: Path) -> None:
    sink = TimelineSink(tmp_path / "timeline.svg")
    for n in range(2 * MAX_EVENTS):
        sink.handle(events.LlmToken(turn=1, at=n / 10_000, text="a"))
    for event in dropped_turn(1, 5.0):
        sink.handle(event)
    await sink.close()

    assert len(sink._events) <= MAX_EVENTS
    assert "dropped: nobody spoke" in texts((tmp_path / "timeline.svg").read_text("utf-8"))


def test_a_path_that_cannot_be_written_is_noticed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "timeline.svg"

    with pytest.raises(SinkError, match=r"The timeline cannot be written to .*timeline.svg: .*\. Choose") as caught:
        TimelineSink(path)

    assert "sink-unwritable" == caught.value.code
