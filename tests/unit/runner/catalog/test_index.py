"""The catalog: what is listed, under which names, with which facts."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from heisenberg.core.config import Config
from heisenberg.core.errors import ConfigError, ModelNotFound
from heisenberg.runner.catalog import index
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.runner.catalog.headers import Headers
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.store import Store
from tests.fakes.gguf_writer import Tensor, write_gguf

LLAMA: dict[str, object] = {"general.architecture": "llama", "llama.context_length": 32768}
TALKS = LLAMA | {"tokenizer.chat_template": "{% if tools %}{{ tools }}{% endif %}{{ enable_thinking }}"}
BERT: dict[str, object] = {"general.architecture": "bert", "bert.context_length": 512, "bert.pooling_type": 2}
WHISPER = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")


class Disk:
    """A models folder, a folder for discovery, and the catalog of both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "models"
        self.more = root / "more"
        self.store.mkdir()
        self.more.mkdir()

    def catalog(self, headers: Headers | None = None, assistants: tuple[str, ...] = (), **sections: Any) -> Catalog:
        runner = {"discovery": [str(self.more)]} | sections.pop("runner", {})
        models = {"folder": str(self.store), "catalog": sections.pop("catalog", {})}
        config = Config.model_validate({"runner": runner, "models": models, **sections})
        return Catalog(config, Store(config.models.folder), headers or Headers(self.root / "headers"), assistants)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def names(catalog: Catalog) -> list[str]:
    return [model.name for model in catalog.all()]


def put_whisper(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in WHISPER:
        (folder / name).write_bytes(b"x")


def test_what_is_installed_configured_and_discovered_is_listed(disk: Disk) -> None:
    write_gguf(disk.store / "own.gguf", LLAMA)
    write_gguf(disk.more / "there" / "found-Q8_0.gguf", LLAMA)
    write_gguf(disk.root / "elsewhere" / "x.gguf", LLAMA)
    put_whisper(disk.more / "whisper-base")
    elsewhere = {"path": str(disk.root / "elsewhere" / "x.gguf")}
    catalog = disk.catalog(catalog={"given": elsewhere, "far": {"urls": ["http://127.0.0.1:1"]}})

    assert ["far", "found-Q8_0", "given", "own", "whisper-base"] == names(catalog)
    assert "stt" == catalog.find("whisper-base").kind
    assert catalog.find("far").is_remote


def test_what_a_remote_model_can_do_has_to_be_said(disk: Disk) -> None:
    known = {"urls": ["http://127.0.0.1:1"], "capabilities": ["tools"], "context_tokens": 8192}
    catalog = disk.catalog(catalog={"known": known, "unknown": {"urls": ["http://127.0.0.1:1"]}})

    found = [(model.capabilities, model.context_tokens) for model in catalog.all()]

    assert [({"completion", "tools"}, 8192), ({"completion"}, 0)] == found


def test_a_header_says_what_a_model_can_do(disk: Disk) -> None:
    write_gguf(disk.more / "Chatty-1B-Q4_K_M.gguf", TALKS, [Tensor(type="Q4_K", shape=(256, 8))])
    write_gguf(disk.more / "mmproj-Chatty-1B-F16.gguf", {"general.architecture": "clip"})
    write_gguf(disk.more / "bge.gguf", BERT)
    catalog = disk.catalog()
    talker, embedder = catalog.find("Chatty-1B-Q4_K_M"), catalog.find("bge")

    assert {"completion", "tools", "thinking", "vision"} == talker.capabilities
    assert ("Chatty-1B", "llm", 2048, "Q4_K") == (
        talker.display_name,
        talker.kind,
        talker.context_tokens,
        talker.quantisation[:4],
    )
    assert talker.projector == disk.more / "mmproj-Chatty-1B-F16.gguf"
    assert ("embedding", {"embedding"}, 512) == (embedder.kind, embedder.capabilities, embedder.context_tokens)


def test_parts_of_models_are_none(disk: Disk) -> None:
    write_gguf(disk.more / "style-lora.gguf", LLAMA | {"general.type": "adapter"})
    write_gguf(disk.more / "eyes.gguf", {"general.architecture": "clip"})

    assert [] == names(disk.catalog())


@pytest.mark.parametrize(
    ("runtime", "parameters", "can"),
    [
        ({}, {}, {"tools", "vision"}),
        ({"supports_tools": False}, {}, {"vision"}),
        ({}, {"jinja": False}, {"vision"}),
        ({}, {"no-mmproj": True}, {"tools"}),
        ({}, {"mmproj": ""}, {"tools"}),
    ],
)
def test_it_can_do_what_it_is_run_with(
    disk: Disk, runtime: dict[str, Any], parameters: dict[str, Any], can: set[str]
) -> None:
    write_gguf(disk.more / "a.gguf", TALKS)
    write_gguf(disk.more / "mmproj.gguf", {"general.architecture": "clip"})
    runner = {"runtimes": {"fork": runtime}, "runtime": "fork"}
    model = disk.catalog(runner=runner, catalog={"a": {"path": "a", "parameters": parameters}}).find("a")

    assert can == model.capabilities & {"tools", "vision"}
    assert runtime.get("supports_tools", True) is model.supports_tools


def test_every_key_of_the_configuration_arrives(disk: Disk) -> None:
    write_gguf(disk.store / "own.gguf", LLAMA)
    entry = {
        "path": "own", "aliases": ["o", "best"], "display_name": "My own", "runtime": "fork", "preload": True,
        "parameters": {"ctx-size": 9000, "temp": ""}, "pin": True, "ttl_seconds": 7.0, "group": "big",
    }  # fmt: skip
    runner = {"runtimes": {"fork": {}}, "defaults": {"temp": 0.5, "mlock": True}, "parallel": 3}
    model = disk.catalog(catalog={"mine": entry}, runner=runner).find("mine")

    assert ("My own", ("o", "best", "own"), "fork") == (model.display_name, model.aliases, model.runtime)
    assert (True, True, 7.0, "big") == (model.preload, model.is_pinned, model.ttl_s, model.group)
    assert {"ctx-size": 9000, "temp": False, "mlock": True} == model.parameters
    assert 3000 == model.context_tokens


def test_the_assistants_place_takes_its_share_of_a_fixed_context(disk: Disk) -> None:
    write_gguf(disk.store / "own.gguf", LLAMA)
    entry = {"path": "own", "parameters": {"ctx-size": 9000}}

    assert 3000 == disk.catalog(catalog={"own": entry}, assistants=("own",)).find("own").context_tokens


def test_a_model_is_found_by_name_by_alias_and_in_ollamas_way(disk: Disk) -> None:
    write_gguf(disk.store / "own.gguf", LLAMA)
    catalog = disk.catalog(catalog={"mine": {"path": "own", "aliases": ["gpt-4o"]}})

    assert ["mine"] == names(catalog)
    for name in ("mine", "mine:latest", "gpt-4o", "gpt-4o:latest", "own"):
        assert "mine" == catalog.find(name).name


def test_an_unknown_name_is_met_with_a_suggestion(disk: Disk) -> None:
    write_gguf(disk.store / "smollm2.gguf", LLAMA)
    catalog = disk.catalog()
    with pytest.raises(ModelNotFound, match=r"model 'smolm2' not found\. Did you mean \"smollm2\"\?"):
        catalog.find("smolm2")
    with pytest.raises(ModelNotFound, match=r"model '\.\./\.\./etc/passwd' not found\. See GET /v1/models\."):
        catalog.find("../../etc/passwd")


def test_a_name_that_is_taken_gets_its_folder_in_front(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    for folder in ("x", "y", "z/y"):
        write_gguf(disk.more / folder / "a.gguf", LLAMA)
    first, again = disk.catalog(), disk.catalog()

    assert ["a", "y/a", "y/a-2"] == names(first) == names(again)
    assert disk.more / "x" / "a.gguf" == first.find("a").path
    assert f"{disk.more / 'y' / 'a.gguf'} is listed as y/a, because {disk.more / 'x' / 'a.gguf'} is called a." in (
        caplog.messages
    )


def test_an_alias_is_given_once(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    write_gguf(disk.store / "a.gguf", LLAMA)
    write_gguf(disk.store / "b.gguf", LLAMA)
    both = {name: {"path": name, "aliases": ["best"]} for name in ("a", "b")}

    assert "a" == disk.catalog(catalog=both).find("best").name
    assert 'The alias "best" of b means a, which was first.' in caplog.messages


def test_what_is_configured_but_not_there_is_said_and_explained(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    put_whisper(disk.store / "ears")
    catalog = disk.catalog(catalog={"gone": {"path": "/no/x.gguf"}, "odd": {"path": "ears", "kind": "llm"}})

    assert ["ears"] == names(catalog)
    with pytest.raises(ModelNotFound, match=r"model 'gone' cannot be used: .*\"/no/x.gguf\" does not exist"):
        catalog.find("gone")
    with pytest.raises(ModelNotFound, match=r"\"ears\" is no model of kind llm"):
        catalog.find("odd")
    assert 2 == len([message for message in caplog.messages if message.startswith("models.catalog.")])


def test_damaged_files_are_named_once_and_harm_nobody(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    write_gguf(disk.more / "good.gguf", LLAMA)
    (disk.more / "empty.gguf").write_bytes(b"")
    (disk.more / "junk.gguf").write_bytes(os.urandom(4096))
    whole = write_gguf(disk.more / "cut.gguf", TALKS, [Tensor()])
    os.truncate(whole, 60)
    catalog = disk.catalog()
    for _ in range(3):
        catalog.refresh()

    assert ["good"] == names(catalog)
    for name in ("empty", "junk", "cut"):
        assert 1 == len([message for message in caplog.messages if f"{name}.gguf" in message])


def test_a_damaged_file_is_not_listed_and_whoever_asks_hears_why(disk: Disk) -> None:
    for path in (disk.store / "installed.gguf", disk.more / "found.gguf"):
        path.write_bytes(b"not a model")
    catalog = disk.catalog()

    assert [] == names(catalog)
    assert ["found", "installed"] == sorted(catalog.unusable)
    for name in ("installed", "found:latest"):
        with pytest.raises(ModelNotFound, match=r"cannot be used: .*\.gguf cannot .* it is not a GGUF file\. Download"):
            catalog.find(name)


def test_a_file_that_was_mended_is_listed(disk: Disk) -> None:
    (disk.store / "own.gguf").write_bytes(b"not a model")
    catalog = disk.catalog()
    catalog.refresh()
    write_gguf(disk.store / "own.gguf", LLAMA)
    catalog.refresh()

    assert (["own"], {}) == (names(catalog), catalog.unusable)


def test_a_model_that_can_be_pulled_is_offered(disk: Disk) -> None:
    with pytest.raises(ModelNotFound, match=r"not found\. It can be had: heisenberg models pull whisper-base$"):
        disk.catalog().find("whisper-base:latest")


def test_a_folder_that_is_not_there_is_said_once(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    catalog = disk.catalog(runner={"discovery": ["/no/such/folder"]})
    catalog.refresh()
    catalog.refresh()

    assert ["runner.discovery has /no/such/folder, which is not a folder."] == caplog.messages


def test_the_models_folder_may_be_a_discovery_folder_too(disk: Disk) -> None:
    write_gguf(disk.store / "a" / "weights.gguf", LLAMA)

    assert ["a"] == names(disk.catalog(runner={"discovery": [str(disk.store)]}))


def test_a_dangerous_option_is_refused_at_the_start(disk: Disk) -> None:
    with pytest.raises(ConfigError, match="slot-save-path"):
        disk.catalog(runner={"defaults": {"slot-save-path": "/tmp"}})


# ── what changes ─────────────────────────────────────────────────────────────────────────────────


def test_models_come_and_go(disk: Disk) -> None:
    catalog = disk.catalog()
    assert [] == names(catalog)

    file = write_gguf(disk.store / "a.gguf", LLAMA)
    os.utime(disk.store, ns=(1, 1))  # two changes within one tick of the clock look like one
    assert ["a"] == names(catalog)

    file.unlink()
    os.utime(disk.store, ns=(2, 2))
    assert [] == names(catalog)


def test_what_changes_further_below_is_seen_a_little_later(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LOOK_AGAIN_S", -1.0)
    (disk.more / "sub").mkdir()
    catalog = disk.catalog()
    assert [] == names(catalog)

    write_gguf(disk.more / "sub" / "a.gguf", LLAMA)
    names(catalog)  # whoever asks sets off the next look
    assert catalog._looks is not None
    catalog._looks.join(10)
    assert ["a"] == names(catalog)


def test_nobody_waits_for_folders_that_take_long(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then what was added is seen a little later, although its folder has changed."""
    monkeypatch.setattr(index, "LONG_WALK_S", -1.0)
    catalog = disk.catalog()
    assert [] == names(catalog)

    look, may_look = catalog._scan.look, threading.Event()
    monkeypatch.setattr(catalog._scan, "look", lambda: look() if may_look.wait(10) else None)
    write_gguf(disk.more / "a.gguf", LLAMA)
    os.utime(disk.more, ns=(1, 1))
    assert [] == names(catalog)

    may_look.set()
    assert catalog._looks is not None
    catalog._looks.join(10)
    assert ["a"] == names(catalog)


def test_nobody_waits_for_headers_that_take_long(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While headers are read for the first time, others see the models by their names."""

    class SlowHeaders(Headers):
        may_read = threading.Event()

        def of(self, path: Path) -> GgufHeader | None:
            assert self.may_read.wait(10)
            return super().of(path)

    write_gguf(disk.more / "bge.gguf", BERT)
    headers = SlowHeaders(disk.root / "headers")
    catalog = disk.catalog(headers)
    catalog.prepare(0.0)

    assert [("bge", "llm", None)] == [(model.name, model.kind, model.header) for model in catalog.all()]
    headers.may_read.set()
    catalog.prepare(10.0)
    assert ["embedding"] == [model.kind for model in catalog.all()]


def test_a_look_that_fails_leaves_the_last_answer(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index, "LOOK_AGAIN_S", -1.0)
    write_gguf(disk.more / "a.gguf", LLAMA)
    catalog = disk.catalog()
    assert ["a"] == names(catalog)

    monkeypatch.setattr(catalog._scan, "look", lambda: 1 / 0)
    assert ["a"] == names(catalog)
    assert catalog._looks is not None
    catalog._looks.join(10)
    assert "models cannot be looked for" in caplog.messages
    assert ["a"] == names(catalog)


def followed(disk: Disk, *, auto_update: bool) -> Model:
    write_gguf(disk.more / "Q-v1-Q8_0.gguf", LLAMA)
    write_gguf(disk.more / "Q-v2-Q8_0.gguf", LLAMA)
    entry = {"path": str(disk.more / "Q-v1-Q8_0.gguf"), "auto_update": auto_update}
    return disk.catalog(catalog={"q": entry}).find("q")


def test_an_entry_follows_to_a_newer_file(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    assert disk.more / "Q-v2-Q8_0.gguf" == followed(disk, auto_update=True).path
    assert f"q follows to the newer file {disk.more / 'Q-v2-Q8_0.gguf'}." in caplog.messages


def test_it_stays_where_it_is_unless_it_is_to_follow(disk: Disk) -> None:
    assert disk.more / "Q-v1-Q8_0.gguf" == followed(disk, auto_update=False).path
