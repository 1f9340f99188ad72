"""The catalog: every model that clients may ask for, by name.

From the configuration (``models.catalog``), the models folder, and the discovery folders (``scan.py`` looks at them).
Names are looked up here, they are never made into paths. Nothing is loaded.

Asking is cheap and may be done on the event loop: answers come from the last look at the folders. A new one is taken
in a thread every few seconds while somebody asks, and at once where a model was put into a folder or taken out.
"""

import difflib
import logging
import os
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound, ModelUnreadable
from heisenberg.runner import llama_options
from heisenberg.runner.catalog.copies import Copies
from heisenberg.runner.catalog.described import Rules
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.runner.catalog.headers import Headers
from heisenberg.runner.catalog.kits import KNOWN_MODELS
from heisenberg.runner.catalog.listing import Listing
from heisenberg.runner.catalog.scan import Scan
from heisenberg.runner.catalog.store import Store

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 3.0
"""How old an answer may be, if somebody asks again."""

HURRIED_S = 0.25
"""Longest time for reading headers while somebody waits; the rest is read in a thread."""

FIRST_LOOK_CHECK_S = 0.02
"""How often those who have nothing to go by look whether another thread's first look has names already."""

LONG_WALK_S = 0.05
"""Where going through the folders took longer than this, nobody waits for it to be done again."""


class Catalog:
    """The models of this machine. May be asked from any thread.

    Args:
        config: names, paths, parameters and servers of models.
        store: the models folder.
        headers: what GGUF files say of themselves; by default kept in the user's cache folder.
        assistants: names of models in which the assistant has a place of its own.

    Raises: ConfigError if a llama-server option is ours to set, or dangerous.
    """

    def __init__(
        self, config: Config, store: Store, headers: Headers | None = None, assistants: Collection[str] = ()
    ) -> None:
        llama_options.check(config)
        self.copies = Copies(store.folder)
        """Second names that clients gave to models."""
        self._scan = Scan(Rules(config, frozenset(assistants)), store)
        self._headers = headers or Headers()
        self._known: dict[Path, GgufHeader | None] = {}
        self._listing: Listing | None = None
        self._looking = threading.Lock()
        self._looks: threading.Thread | None = None
        self._looked_at_s = float("-inf")
        self._roots: tuple[int, ...] = ()
        self._walk_s = 0.0

    def all(self) -> list[Model]:
        """Every model, by name."""
        return list(self._current().models)

    def find(self, name: str) -> Model:
        """The model called *name*: its name, an alias or a copy, with Ollama's ``:latest`` or without.

        Raises: ModelNotFound.
        """
        listing = self._current()
        plain = name.removesuffix(":latest")
        model = listing.by_name.get(plain) or listing.by_name.get(name)
        if model is None and (original := self.copies.all().get(plain)):
            model, plain = listing.by_name.get(original), original
        if model is not None:
            return model
        if why := listing.missing.get(plain):
            raise ModelNotFound(f"model '{name}' cannot be used: {why}")
        raise ModelNotFound(f"model '{name}' not found.{_hint(plain, listing)}")

    @property
    def unusable(self) -> Mapping[str, str]:
        """What is configured, installed or discovered and cannot be used: name → why, in one line."""
        return self._current().missing

    def refresh(self) -> None:
        """Look at all folders now, and read every header. Takes long if there are many new ones: not on the event loop.

        Until the first look is over, others see the models without what their headers say.
        """
        with self._looking:
            self._look(None)

    def prepare(self, wait_s: float) -> None:
        """Take a first look in a thread; returns when it is over, or after *wait_s*. Not for the event loop."""
        self._look_in_a_thread()
        if self._looks is not None:
            self._looks.join(wait_s)

    def _current(self) -> Listing:
        if self._listing is None:
            self._look_first()
            return self._known_listing()
        has_changed = self._stamps() != self._roots
        if has_changed and self._walk_s < LONG_WALK_S:
            self._look_in_a_hurry()
        elif has_changed or time.monotonic() - self._looked_at_s > LOOK_AGAIN_S:
            self._look_in_a_thread()
        return self._known_listing()

    def _known_listing(self) -> Listing:
        assert self._listing is not None, "the first look makes a listing"
        return self._listing

    def _look_first(self) -> None:
        """Wait for a first listing; if another thread makes it, only until that knows the names."""
        while self._listing is None:
            if self._looking.acquire(timeout=FIRST_LOOK_CHECK_S):
                try:
                    if self._listing is None:
                        self._look(None)
                finally:
                    self._looking.release()

    def _look_in_a_hurry(self) -> None:
        if not self._looking.acquire(blocking=False):
            return  # somebody looks already
        try:
            self._look(HURRIED_S)
        finally:
            self._looking.release()

    def _look_in_a_thread(self) -> None:
        if self._looks is None or not self._looks.is_alive():
            self._looks = threading.Thread(target=self._look_again, name="looking for models", daemon=True)
            self._looks.start()

    def _look_again(self) -> None:
        try:
            self.refresh()
        except Exception:  # the last answer stays in force
            log.exception("models cannot be looked for")
            self._looked_at_s = time.monotonic()

    def _look(self, budget_s: float | None) -> None:
        """Make a new listing. With *budget_s*, headers that would take longer are left as they are known."""
        began_s, roots = time.monotonic(), self._stamps()
        sight = self._scan.look()
        self._walk_s = time.monotonic() - began_s
        if self._listing is None:
            self._listing = self._scan.listing(sight, self._known.get)
        reader = _Reader(self._headers, self._known, budget_s)
        self._listing = self._scan.listing(sight, reader.read)
        self._known = reader.seen
        self._roots = roots
        self._looked_at_s = time.monotonic() if reader.has_read_all else float("-inf")

    def _stamps(self) -> tuple[int, ...]:
        """Changes when something is put into one of the folders, or taken out; not for changes further below."""
        return tuple(_modified_ns(root) for root in self._scan.roots)


class _Reader:
    """Reads headers, for so long and no longer."""

    def __init__(self, headers: Headers, known: dict[Path, GgufHeader | None], budget_s: float | None) -> None:
        self._headers = headers
        self._known = known
        self._until_s = float("inf") if budget_s is None else time.monotonic() + budget_s
        self.seen: dict[Path, GgufHeader | None] = {}
        self._bad: set[Path] = set()
        self.has_read_all = True

    def read(self, path: Path) -> GgufHeader | None:
        """The header at *path*; the last one known, or None, if there is no time left. Raises ModelUnreadable."""
        if path not in self.seen:
            if time.monotonic() < self._until_s:
                self.seen[path] = self._headers.of(path)
                if self.seen[path] is None:
                    self._bad.add(path)
            else:
                self.has_read_all = False
                self.seen[path] = self._known.get(path)
        if path in self._bad:
            raise ModelUnreadable(self._headers.fault(path) or f"{path} cannot be read as a model.")
        return self.seen[path]


def _hint(name: str, listing: Listing) -> str:
    """What to do about a *name* that is not there."""
    if name in KNOWN_MODELS:
        return f" It can be had: heisenberg models pull {name}"
    similar = difflib.get_close_matches(name, list(listing.by_name), n=1)
    return f' Did you mean "{similar[0]}"?' if similar else " See GET /v1/models."


def _modified_ns(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - half the cost of Path.stat, and asked at every request
    except OSError:
        return 0
