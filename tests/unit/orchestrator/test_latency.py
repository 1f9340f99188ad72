"""Latencies count from the true end of the user's speech."""

from heisenberg.orchestrator.latency import LatencyWatch


def test_the_silence_that_was_waited_for_counts() -> None:
    """Given 0.6 s of silence before the endpoint, when work takes 0.4 s, the user has waited a second."""
    now = [50.0]
    watch = LatencyWatch(lambda: now[0], 0.6)
    watch.mark("endpoint")
    now[0] += 0.4
    watch.mark("stt")

    assert {"endpoint": 0.6, "stt": 1.0} == watch.marks()


def test_only_the_first_time_counts() -> None:
    now = [50.0]
    watch = LatencyWatch(lambda: now[0], 0.0)
    watch.mark("first_visual")
    now[0] += 5
    watch.mark("first_visual")

    assert {"first_visual": 0.0} == watch.marks()


def test_what_did_not_happen_is_not_there() -> None:
    assert {} == LatencyWatch(lambda: 1.0, 0.0).marks()
