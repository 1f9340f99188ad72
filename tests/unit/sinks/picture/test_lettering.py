"""Cutting texts to the room that there is."""

from hypothesis import given
from hypothesis import strategies as st

from heisenberg.sinks.picture.lettering import clean, cut, cut_head, text_width

ROOM_PX = 100.0


@given(st.text(), st.floats(0, 400))
def test_a_cut_text_fits(text: str, room: float) -> None:
    assert text_width(cut(text, room, 12), 12) <= room
    assert text_width(cut_head(text, room, 12), 12) <= room


def test_a_text_with_room_is_left_as_it_is() -> None:
    assert "calm" == cut("calm", ROOM_PX, 12) == cut_head("calm", ROOM_PX, 12)


def test_a_cut_falls_between_words_where_that_costs_little() -> None:
    assert "the ocean…" == cut("the ocean glows where the waves break", ROOM_PX, 12)
    assert "…waves break" == cut_head("the ocean glows where the waves break", ROOM_PX, 12)


def test_a_very_long_word_is_cut_within_itself() -> None:
    assert "oceanoceano…" == cut("oceanoceanoceanocean", ROOM_PX, 12)


def test_what_xml_does_not_allow_is_taken_out() -> None:
    assert "a b c" == clean(" a\x00\n b\ud800\t\ufffec ")


def test_bold_is_wider_and_chinese_as_wide_as_high() -> None:
    assert text_width("ocean", 12, is_bold=True) > text_width("ocean", 12)
    assert text_width("夜", 12) >= 12
