"""The scanner against Python's own JSON parser."""

import json

from hypothesis import given
from hypothesis import strategies as st

from heisenberg.llm.json_scan import Found, JsonScanner, ScalarEnded, StringEnded, StringGrew, Surrogates


def scan(*pieces: str) -> list[Found]:
    scanner = JsonScanner()
    return [found for piece in pieces for found in scanner.feed(piece)[0]]


def leaves(found: list[Found]) -> list[tuple[tuple[str, ...], object]]:
    """Path and value of each leaf that was reported."""
    result: list[tuple[tuple[str, ...], object]] = []
    text = ""
    for piece in found:
        match piece:
            case StringGrew(_, more):
                text += more
            case StringEnded(path):
                result.append((path, text))
                text = ""
            case ScalarEnded(path, raw):
                result.append((path, json.loads(raw)))
    return result


def leaves_of(value: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    match value:
        case dict():
            return [leaf for key, inner in value.items() for leaf in leaves_of(inner, (*path, key))]
        case list():
            return [leaf for inner in value for leaf in leaves_of(inner, (*path, "[]"))]
    return [(path, value)]


CHARACTERS = st.characters(exclude_categories=["Cs"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(CHARACTERS))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(CHARACTERS), inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(CHARACTERS), VALUES, max_size=4)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 2]))
def test_every_leaf_is_found_whatever_the_pieces(value: dict[str, object], is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)

    assert leaves_of(value) == leaves(scan(text)) == leaves(scan(*text))


def test_a_string_grows_before_it_ends() -> None:
    assert [StringGrew(("a",), "Hel")] == scan('{"a":"Hel')


def test_a_number_is_complete_only_when_something_follows() -> None:
    assert [] == scan('{"a":12')
    assert [ScalarEnded(("a",), "123")] == scan('{"a":12', "3", "}")


def test_what_follows_the_object_is_given_back() -> None:
    scanner = JsonScanner()

    assert " bye {" == scanner.feed('{"a":1} bye {')[1]
    assert scanner.is_done


def test_an_escape_may_be_cut_anywhere() -> None:
    text = r'{"a":"\u00e9\ud83d\ude00\n\"\\"}'
    for at in range(len(text)):
        assert [(("a",), 'é😀\n"\\')] == leaves(scan(text[:at], text[at:]))


def test_half_a_character_becomes_a_replacement() -> None:
    assert [(("a",), "\ufffdx\ufffd")] == leaves(scan(r'{"a":"\ud83dx\ude00"}'))
    assert [(("a",), "\ufffd")] == leaves(scan(r'{"a":"\ud83d"}'))


def test_halves_that_arrive_raw_are_joined() -> None:
    halves = Surrogates()

    assert "a" == halves.feed("a\ud83d")
    assert "😀b" == halves.feed("\ude00b")
    assert "" == halves.flush()


def test_faulty_json_is_read_as_the_nearest_thing() -> None:
    """A raw newline, an unknown escape, a broken one, missing commas and values, a stray word."""
    assert [(("a",), "x\ny")] == leaves(scan('{"a":"x\ny"}'))
    assert [(("a",), "q")] == leaves(scan(r'{"a":"\q"}'))
    assert [(("a",), "\ufffdz")] == leaves(scan(r'{"a":"\u12z"}'))
    assert [(("a",), 1), (("b",), 2)] == leaves(scan('{"a":1 "b":2}'))
    assert [(("b",), 2)] == leaves(scan('{"a":,"b":2}'))
    assert [(("b",), 2)] == leaves(scan('{oops "b":2,}'))


@given(st.text(alphabet='{}[]",:\\u12e-. atrue'))
def test_no_text_makes_it_fail(text: str) -> None:
    whole = JsonScanner()
    found, rest = whole.feed("{" + text)
    letters = JsonScanner()
    pieces = [letters.feed(char) for char in "{" + text]

    assert _joined(found) == _joined([piece for more, _ in pieces for piece in more])
    assert rest == "".join(after for _, after in pieces)


def _joined(found: list[Found]) -> list[Found]:
    """Neighbouring pieces of a string put together."""
    result: list[Found] = []
    for piece in found:
        match result[-1:], piece:
            case [StringGrew(path, before)], StringGrew(same, more) if path == same:
                result[-1] = StringGrew(path, before + more)
            case _:
                result.append(piece)
    return result
