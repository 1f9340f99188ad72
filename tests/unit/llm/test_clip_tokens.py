"""A prompt for an image model is cut before the model cuts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.config import VisualField
from heisenberg.llm import clip_tokens
from heisenberg.llm.clip_tokens import cut, estimate
from heisenberg.llm.visuals import VisualSchema

CLIP_SAYS = {
    "a photo of a cat": 7,
    "bioluminescent jellyfish drifting, 8k, ultra-detailed": 16,
    "a lonely lighthouse under a violet sky, oil painting": 12,
    "fog, f/1.8, 35mm photograph, it's 1984!": 20,
    "un paysage d'été à la montagne, brume légère": 19,
    "素早い茶色の狐が森の中を走る": 33,
    "Быстрая лиса бежит через тёмный лес": 42,
    "🌊🔥 ocean of fire": 7,
}
"""Counted with CLIP's own tokenizer, its two markers included."""


@pytest.mark.parametrize(("text", "tokens"), CLIP_SAYS.items())
def test_the_estimate_is_hardly_ever_too_low(text: str, tokens: int) -> None:
    assert 0.88 * tokens <= estimate(text) <= 2 * tokens


def test_a_short_prompt_stays_as_it_is() -> None:
    text = "a lonely lighthouse under a violet sky, oil painting."

    assert text == cut(text, 77)


def test_a_long_prompt_ends_with_a_whole_phrase() -> None:
    phrase = "an ancient forest of mossy oaks in thick morning fog"
    text = ", ".join([phrase] * 10)

    kept = cut(text, 77)

    assert kept == ", ".join([phrase] * (kept.count(phrase)))
    assert estimate(kept) <= 77 < estimate(f"{kept}, {phrase}")


def test_one_endless_phrase_ends_with_a_whole_word() -> None:
    kept = cut("glowing embers " * 60, 77)

    assert set(kept.split()) == {"glowing", "embers"}
    assert estimate(kept) <= 77


@given(st.text(max_size=400), st.integers(8, 100))
def test_what_is_left_fits_and_is_the_beginning(text: str, most: int) -> None:
    kept = cut(text, most)

    assert text.startswith(kept)
    assert estimate(kept) <= most or len(kept) <= 1


@pytest.mark.parametrize("text", ["海" * 2000, "sea, " * 400, "a" * 2000])
def test_a_very_long_text_is_not_read_over_and_over(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else happens on the event loop meanwhile."""
    read: list[int] = []

    def counted(beginning: str) -> int:
        read.append(len(beginning))
        return estimate(beginning)

    monkeypatch.setattr(clip_tokens, "estimate", counted)

    assert clip_tokens.estimate(clip_tokens.cut(text, 77)) <= 77
    assert sum(read) < 20 * len(text)


def test_a_field_is_cut_for_clip_before_it_is_sent() -> None:
    fields = {
        "prompt": VisualField(max_length=2000, clip_tokens=77),
        "title": VisualField(max_length=2000),
    }
    schema, text = VisualSchema(fields, max_tokens=500), "a violet sky, " * 60

    assert estimate(str(schema.accept("prompt", text))) <= 77
    assert len(str(schema.accept("title", text))) > 800
