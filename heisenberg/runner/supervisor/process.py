"""One life of one child process: start, ready, watch, stop.

A child leads its own process group, so that a stop reaches whatever it started. It ends with us: our
workers watch their standard input, which we hold open, and other programs run under
``workers/guard.py``, which does so for them. Every wait here is bounded, also that for a killed process.
This file knows nothing of models, queues or restarts.
"""

import asyncio
import contextlib
import functools
import logging
import os
import re
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from heisenberg.core.errors import ModelFailedToStart
from heisenberg.runner.memory import Footprint

log = logging.getLogger(__name__)

KEPT_LINES = 200
"""Last lines of output that are kept, for error messages and for whoever asks."""

LINE_LIMIT_BYTES = 2_000
"""A longer line is cut; a child that never ends its lines must not fill our memory."""

READ_BYTES = 65_536

GROWTH_LOOKS = 4
"""While a child loads its memory is looked at so often within the bound."""

GROWTH_BYTES = 1_000_000

SHOWN_CHARACTERS = 300
"""So much of a line goes into an error message."""

KILL_BOUND_S = 5.0
"""A killed process that is still there after this hangs in the kernel, on a disk or a driver; we go on without it."""

NOT_INHERITED = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
"""Variables with which a service manager speaks to us, not to our children."""

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ready child answers."""

    url: str
    """``unix:///path``, ``tcp://host:port`` or ``http://host:port``."""
    api_key: str = field(default="", repr=False)
    """What it wants to see with each request; empty for none."""
    model: str = ""
    """What it calls its model; empty if nobody needs to know. By it we tell it from a stranger on its port."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child and how to tell that it is ready."""

    name: str
    """The model's name, for people."""
    argv: tuple[str, ...]
    """Program and arguments; never a shell line."""
    address: Address
    """Where it will answer."""
    is_ready: Callable[[Address], Awaitable[bool]]
    """Whether it answers now; must return within about a second and not raise."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to our environment."""
    is_alive: Callable[[Address], Awaitable[bool]] | None = None
    """Whether it still answers once it was ready; None is the same question. May be asked twice a second."""


class _Watched(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells when the process ends. asyncio's own ``wait`` also waits for its pipes, which a grandchild can hold."""

    def __init__(self) -> None:
        super().__init__(limit=2**16, loop=asyncio.get_running_loop())
        self.ended = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.ended.set()


class ChildProcess:
    """A running child. Make one with :meth:`start`."""

    def __init__(self, spec: ChildSpec, transport: asyncio.SubprocessTransport, watched: _Watched) -> None:
        self.spec = spec
        self.started_at = asyncio.get_running_loop().time()
        self._transport = transport
        self._ended = watched.ended
        self._process = asyncio.subprocess.Process(transport, watched, asyncio.get_running_loop())
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.line_count = 0
        """Lines that it has printed, without the one that is not ended yet."""
        self._unfinished = b""
        self._on_sign: Callable[[], None] = lambda: None
        self._reader = asyncio.create_task(self._read_output(), name=f"output of {spec.name}")

    @classmethod
    async def start(
        cls, spec: ChildSpec, timeout_s: float, on_spawned: Callable[["ChildProcess"], None] = lambda child: None
    ) -> "ChildProcess":
        """Start the child and return once it answers. *on_spawned* is told of it as soon as it has a process id.

        Raises: ModelFailedToStart if it cannot be started, ends early, or gives no sign of life for *timeout_s*
            seconds: it neither answers nor prints anything, nor does its memory grow.
        """
        try:
            transport, watched = await asyncio.get_running_loop().subprocess_exec(
                _Watched,
                *spec.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name not in NOT_INHERITED} | dict(spec.env),
            )
        except OSError as exc:
            raise ModelFailedToStart(f"{spec.name} cannot be started: {exc.strerror or exc} ({spec.argv[0]}).") from exc
        child = cls(spec, transport, watched)
        try:
            on_spawned(child)
            await child._wait_until_ready(timeout_s)
        except BaseException:
            await child.stop(grace_s=1.0)
            raise
        return child

    @property
    def pid(self) -> int:
        """Process id, which is also its group's."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def exited(self) -> str:
        """Wait until it ends; say how, for people."""
        await self._ended.wait()
        status = self._process.returncode or 0
        # Its last words may still be in the pipe; a grandchild may hold the pipe open for ever.
        await asyncio.wait({self._reader}, timeout=0.5)
        how = f"was ended by {_signal_name(-status)}" if status < 0 else f"exited with code {status}"
        last = self.last_line
        return f'{how}. Last line: "{last}"' if last else how

    @property
    def last_line(self) -> str:
        """The last thing it printed, shortened."""
        unfinished = _printable(self._unfinished)
        line = unfinished or (self._lines[-1] if self._lines else "")
        return line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "…"

    @property
    def lines(self) -> list[str]:
        """What it printed last, oldest first."""
        return [*self._lines, unfinished] if (unfinished := _printable(self._unfinished)) else list(self._lines)

    @property
    def whole_lines(self) -> list[str]:
        """:attr:`lines`, without the one that is not ended yet."""
        return list(self._lines)

    def kill(self) -> None:
        """End it and its group at once."""
        self._signal_group(signal.SIGKILL)

    async def answers(self) -> bool:
        """Whether it answers now, however busy it is."""
        return await (self.spec.is_alive or self.spec.is_ready)(self.spec.address)

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, wait *grace_s* seconds, then kill its group. Returns within about *grace_s* + 5 s."""
        self._signal_group(signal.SIGTERM)
        try:
            # Its standard input stays open meanwhile: at its end our workers and the guard end without any grace.
            await asyncio.wait_for(self._ended.wait(), grace_s)
        except TimeoutError:
            log.warning("%s ignores the request to end; killing it", self.spec.name)
        finally:  # also for whoever waits no longer
            self._signal_group(signal.SIGKILL)
            await self._let_go()

    async def _let_go(self) -> None:
        """Wait for the end of the killed process, and close our ends of its pipes."""
        try:
            await asyncio.wait_for(self._ended.wait(), KILL_BOUND_S)
        except TimeoutError:
            log.error("%s (process %d) cannot be ended; it hangs in the kernel", self.spec.name, self.pid)
        finally:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            # asyncio closes the pipes when it sees their end, which a grandchild can postpone for ever.
            self._transport.close()

    async def _wait_until_ready(self, timeout_s: float) -> None:
        ended = asyncio.create_task(self.exited(), name=f"start of {self.spec.name}")
        growing = asyncio.create_task(self._watch_growth(timeout_s / GROWTH_LOOKS), name=f"growth of {self.spec.name}")
        try:
            async with asyncio.timeout(timeout_s) as bound:
                self._on_sign = functools.partial(_postpone, bound, timeout_s)
                while not await self.spec.is_ready(self.spec.address):
                    done, _ = await asyncio.wait({ended}, timeout=0.05)
                    if done:
                        raise ModelFailedToStart(f"{self.spec.name} did not start: it {ended.result()}")
        except TimeoutError:
            said = f' Last line: "{self.last_line}".' if self.last_line else ""
            raise ModelFailedToStart(
                f"{self.spec.name} did not answer within {timeout_s:g} s.{said} See runner.start_timeout_seconds."
            ) from None
        finally:
            self._on_sign = lambda: None
            for task in (ended, growing):
                task.cancel()
            await asyncio.gather(ended, growing, return_exceptions=True)

    async def _watch_growth(self, pause_s: float) -> None:
        """A child whose memory grows is loading, even where it prints nothing, as the embedded llama.cpp."""
        most_bytes = 0
        while True:
            await asyncio.sleep(pause_s)
            held_bytes = await asyncio.to_thread(Footprint(self.pid).measured_bytes)
            if held_bytes > most_bytes + GROWTH_BYTES:
                most_bytes = held_bytes
                self._on_sign()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _read_output(self) -> None:
        """Keep the last lines; never block the child and never trust the length of a line."""
        stream = self._process.stdout
        assert stream is not None
        while block := await stream.read(READ_BYTES):
            self._on_sign()
            *lines, rest = (self._unfinished + block).split(b"\n")
            self._unfinished = rest[-LINE_LIMIT_BYTES:]
            for line in lines:
                self._keep(line)
        self._keep(self._unfinished)
        self._unfinished = b""

    def _keep(self, line: bytes) -> None:
        text = _printable(line[-LINE_LIMIT_BYTES:])
        if text:
            self._lines.append(text)
            self.line_count += 1
            log.debug("%s: %s", self.spec.name, text)


def _postpone(bound: asyncio.Timeout, seconds: float) -> None:
    """A sign of life: whoever loads a large model from a slow disk has not failed."""
    if not bound.expired():
        bound.reschedule(asyncio.get_running_loop().time() + seconds)


def _signal_name(number: int) -> str:
    """``SIGSEGV``; a real-time signal has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _printable(line: bytes) -> str:
    """*line* as a terminal would leave it: what a progress bar overwrote is gone, and so are control characters."""
    shown = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
    return "".join(character for character in _COLOURS.sub("", shown) if character.isprintable()).strip()
