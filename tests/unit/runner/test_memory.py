"""How much memory a child holds."""

import os
import subprocess
import sys

from heisenberg.runner.memory import Footprint

NOBODY = 2**22 + 1
"""No system gives this process id by default."""


def test_a_process_and_what_it_started_are_counted() -> None:
    own = Footprint(os.getpid()).measured_bytes()
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        both = Footprint(os.getpid()).measured_bytes()
        child_bytes = Footprint(child.pid).measured_bytes()
        child.communicate(b"\n")

    assert own > 1_000_000
    assert child_bytes > 0
    assert both > child_bytes


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert 0 == Footprint(NOBODY).measured_bytes()
