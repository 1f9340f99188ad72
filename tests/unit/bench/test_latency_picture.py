"""The picture of the latency figures: what a reader of the SVG sees."""

import itertools
import xml.etree.ElementTree as ET

from heisenberg.bench.latency_picture import STAGES, draw
from tests.unit.bench.latency_figures import figures, turn

SVG = "{http://www.w3.org/2000/svg}"


def bars(svg: str) -> list[str]:
    """The hints of all bars, top to bottom."""
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(SVG + "rect") if len(node)]


def test_each_pipeline_has_one_bar_for_each_stage() -> None:
    drawn = bars(draw(figures(), "a machine").svg)

    assert 5 * len(STAGES) == len(drawn)
    assert "recogniser: transcript: 0.25 s to 0.35 s, p95 0.35 s, in 1 turns" in drawn


def test_a_setting_without_an_answer_is_left_out() -> None:
    assert 3 * len(STAGES) == len(bars(draw(figures(turn()), "a machine").svg))


def test_it_says_when_something_left_and_on_which_machine() -> None:
    texts = [label.text for label in draw(figures(), "a <small> machine").labels]

    assert any("first sample 0.71 s, first datagram 0.52 s" in text for text in texts)
    assert any("a <small> machine" in text for text in texts)


def test_labels_do_not_lie_on_each_other() -> None:
    """Also where one turn took very long."""
    for drawn in (draw(figures(), "m"), draw(figures(turn(), turn(shift=9.0)), "m")):
        assert [] == [(a.text, b.text) for a, b in itertools.combinations(drawn.labels, 2) if a.overlaps(b)]
