"""Datagrams keep within their size."""

import json

from hypothesis import given
from hypothesis import strategies as st

from heisenberg.sinks.datagram import PART_ADDRESS, encode, encode_json
from tests.osc_decoder import decode_message


@given(st.text(), st.text(), st.integers(48, 400))
def test_the_longest_text_is_cut_at_a_character_only_when_it_must_be(short: str, text: str, size: int) -> None:
    short = short[:1]
    datagram, was_cut = encode("/a", short, text, 7, max_bytes=size)

    values = decode_message(datagram)[2]
    whole = text.replace("\0", "")

    assert len(datagram) <= size
    assert was_cut == (values != [short.replace("\0", ""), whole, 7])
    assert whole.startswith(str(values[1])) or len(whole) <= len(short)


def test_cutting_uses_the_room_there_is() -> None:
    datagram, was_cut = encode("/visual/prompt", "é" * 1000, max_bytes=256)

    assert was_cut
    assert len(datagram) == 256
    assert decode_message(datagram)[2] == ["é" * 117]


def test_json_that_fits_stays_whole() -> None:
    ((address, datagram),) = encode_json("/visual/json", {"mood": "rêveur"}, 3, 256)

    assert address == "/visual/json"
    assert decode_message(datagram)[2] == ['{"mood": "rêveur"}']


@given(st.text(min_size=300, max_size=3000), st.integers(256, 1400))
def test_long_json_comes_in_numbered_pieces_that_make_the_whole(text: str, size: int) -> None:
    sent = encode_json("/visual/json", {"prompt": text}, 9, size)
    messages = [decode_message(datagram) for _, datagram in sent]

    joined = "".join(str(values[-1]) for _, _, values in messages)

    assert all(len(datagram) <= size for _, datagram in sent)
    assert json.loads(joined) == {"prompt": text.encode("utf-8", "replace").decode().replace("\0", "")}
    if len(messages) > 1:
        assert {address for address, _, _ in messages} == {PART_ADDRESS}
        assert [values[:3] for _, _, values in messages] == [[9, n, len(sent)] for n in range(1, len(sent) + 1)]


def test_twenty_kilobytes_of_json_arrive() -> None:
    visual = {f"field{n}": "lumière " * 25 for n in range(90)}

    sent = encode_json("/visual/json", visual, 1, 1400)
    joined = "".join(str(decode_message(datagram)[2][-1]) for _, datagram in sent)

    assert len(joined.encode()) > 20_000
    assert json.loads(joined) == visual
