"""Which capture the session's orders to the audio thread count from."""

from types import SimpleNamespace
from typing import cast

from heisenberg.orchestrator.captures import Captures
from heisenberg.orchestrator.hearing import Hearing
from tests.fakes.stages import FakeListener


def captures() -> tuple[Captures, FakeListener]:
    listener = FakeListener(lambda report: None)
    return Captures(cast(Hearing, SimpleNamespace(listener=listener))), listener


def test_an_order_does_not_give_up_a_capture_that_is_news_to_the_session() -> None:
    """The audio thread has begun capture 1, and its report is on the way."""
    asked, listener = captures()
    listener.captures = 1
    asked.arm()

    assert [] == listener.orders

    asked.learn(1)
    asked.arm()

    assert ["arm"] == listener.orders


def test_what_is_not_wanted_is_not_followed_by_an_older_number() -> None:
    asked, listener = captures()
    listener.captures = 3
    asked.follow(3)
    asked.learn(2)
    asked.guard()

    assert ["guard"] == listener.orders
    assert asked.is_followed(3)


def test_a_command_without_a_wake_word_is_followed_by_its_number() -> None:
    asked, listener = captures()
    asked.listen()
    asked.listen_on(5.0)

    assert ["capture", "capture for 5 s"] == listener.orders
    assert asked.is_followed(2)


def test_without_an_audio_thread_nobody_is_asked() -> None:
    asked = Captures(cast(Hearing, SimpleNamespace(listener=None)))
    asked.arm()
    asked.guard()

    assert not asked.listen()
    assert not asked.listen_on(5.0)
