"""Conversations are kept for a while, and not too many of them."""

from typing import Any

import pytest

from heisenberg.server import conversations
from heisenberg.server.conversations import KEPT_S, Conversations


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_each_answer_can_be_gone_on_from() -> None:
    kept = Conversations()
    first = kept.keep([said("a")])
    second = kept.keep([said("a"), said("b")])

    assert (said("a"),) == kept.find(first)
    assert (said("a"), said("b")) == kept.find(second)
    assert first.startswith("resp_")


def test_unknown_and_old_ones_are_not_found() -> None:
    clock = Clock()
    kept = Conversations(clock)
    identity = kept.keep([said("a")])
    clock.now_s = KEPT_S + 1

    assert (None, None) == (kept.find(identity), kept.find("resp_1"))


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MOST", 2)
    kept = Conversations()
    first, *others = [kept.keep([said(text)]) for text in "abc"]

    assert kept.find(first) is None
    assert all(kept.find(identity) for identity in others)


def test_large_ones_make_room_but_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MOST_BYTES", 100)
    kept = Conversations()
    first = kept.keep([said("a" * 60)])
    second = kept.keep([said("b" * 600)])

    assert kept.find(first) is None
    assert kept.find(second)
