"""Finding, listing and removing models on disk."""

from pathlib import Path

import pytest

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog.kits import KNOWN_MODELS
from heisenberg.runner.catalog.store import Store

JOE = "piper-en_US-joe-medium"


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def put_known(store: Store, name: str) -> Path:
    """A folder with files of the right names and sizes; sparse, so that it costs nothing."""
    folder = put(store.folder / name)
    for file in KNOWN_MODELS[name].files:
        with (folder / file.name).open("wb") as out:
            out.truncate(file.size_bytes)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def test_without_a_folder_nothing_is_installed(store: Store) -> None:
    assert [] == store.installed()


def test_a_known_model_is_found_by_its_name(store: Store) -> None:
    folder = put_known(store, JOE)

    model = store.find(JOE)

    assert (JOE, "tts", folder) == (model.name, model.kind, model.path)
    assert folder / "en_US-joe-medium.onnx" == model.file(".onnx")


def test_a_known_model_that_is_missing_names_the_command_that_fetches_it(store: Store) -> None:
    with pytest.raises(
        ModelNotFound, match=r'"whisper-base" is not installed. Try: heisenberg models pull whisper-base'
    ):
        store.find("whisper-base")


def test_a_known_model_that_lacks_a_file_is_not_installed(store: Store) -> None:
    (put_known(store, JOE) / "en_US-joe-medium.onnx.json").unlink()

    assert [] == store.installed()
    assert {JOE: "en_US-joe-medium.onnx.json is missing"} == store.incomplete()
    with pytest.raises(ModelNotFound, match=r"incomplete: .*json is missing. Try: heisenberg models pull piper"):
        store.find(JOE)


def test_a_known_model_whose_file_is_cut_short_is_not_installed(store: Store) -> None:
    (put_known(store, JOE) / "en_US-joe-medium.onnx").write_bytes(b"half")

    with pytest.raises(ModelNotFound, match="has 4 bytes instead of 63201294"):
        store.find(JOE)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("my.gguf",), "llm"),
        (("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"), "stt"),
        (("voice.onnx", "voice.onnx.json"), "tts"),
    ],
)
def test_a_folder_placed_by_hand_is_listed(store: Store, names: tuple[str, ...], kind: str) -> None:
    folder = put(store.folder / "mine", *names)

    (model,) = store.installed()

    assert ("mine", kind, folder, len(names)) == (model.name, model.kind, model.path, model.size_bytes)


def test_single_files_placed_by_hand_are_listed(store: Store) -> None:
    put(store.folder, "chat.gguf", "voice.onnx", "voice.onnx.json", "notes.txt")

    assert [("chat", "llm"), ("voice", "tts")] == [(model.name, model.kind) for model in store.installed()]
    assert store.folder / "voice.onnx" == store.find("voice").file(".onnx")


def test_a_split_gguf_is_one_model(store: Store) -> None:
    put(store.folder, "big-00001-of-00002.gguf", "big-00002-of-00002.gguf")

    assert ["big"] == [model.name for model in store.installed()]
    assert store.folder / "big-00001-of-00002.gguf" == store.find("big").file(".gguf")


def test_a_path_is_as_good_as_a_name(store: Store, tmp_path: Path) -> None:
    whisper = put(tmp_path / "elsewhere", "config.json", "model.bin", "tokenizer.json", "vocabulary.json")
    gguf = put(tmp_path / "here", "a.gguf") / "a.gguf"

    assert whisper == store.find(str(whisper)).path
    assert gguf == store.find(str(gguf)).file(".gguf")


def test_a_path_of_something_else_is_refused_with_what_is_expected(store: Store, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(ModelNotFound, match=r"is no model: expected a \.gguf file"):
        store.find(str(tmp_path / "notes.txt"))


def test_a_path_that_does_not_exist_says_so(store: Store) -> None:
    with pytest.raises(ModelNotFound, match=r'"\./missing\.gguf" does not exist'):
        store.find("./missing.gguf")


def test_a_hub_repository_that_was_not_pulled_names_the_command(store: Store) -> None:
    with pytest.raises(ModelNotFound, match=r"Try: heisenberg models pull hf:Systran/faster-whisper-medium"):
        store.find("Systran/faster-whisper-medium")


def test_a_mistyped_name_suggests_the_nearest(store: Store) -> None:
    with pytest.raises(ModelNotFound, match='Did you mean "whisper-base"'):
        store.find("wisper-base")


def test_a_model_of_the_wrong_kind_is_refused(store: Store) -> None:
    put_known(store, JOE)

    with pytest.raises(ModelNotFound, match="is a voice, not speech to text"):
        store.find(JOE, "stt")
    with pytest.raises(ModelNotFound, match=r"is a voice and has no \.gguf file"):
        store.find(JOE).file(".gguf")


@pytest.mark.parametrize("name", ["../secret", "mine/../../secret", "/etc", "..", ".", "", ".pulling", "~"])
def test_a_name_never_leads_out_of_the_folder(store: Store, name: str) -> None:
    """Given a model outside of the folder / When a name points at it / Then it is neither found nor removed."""
    secret = put(store.folder.parent / "secret", "a.gguf")
    put(store.folder / "mine", "a.gguf")

    with pytest.raises(ModelNotFound):
        store.named(name)
    with pytest.raises(ModelNotFound):
        store.remove(name)
    assert (secret / "a.gguf").exists()


def test_a_removed_model_is_gone_and_the_others_are_not(store: Store) -> None:
    put(store.folder / "mine", "a.gguf")
    put(store.folder, "voice.onnx", "voice.onnx.json")
    put(store.folder / "other", "a.gguf")

    assert (1, 2) == (store.remove("mine"), store.remove("voice"))
    assert ["other"] == [model.name for model in store.installed()]
    assert not (store.folder / "voice.onnx.json").exists()


def test_removing_a_link_leaves_what_it_points_at(store: Store, tmp_path: Path) -> None:
    real = put(tmp_path / "real", "a.gguf")
    store.folder.mkdir()
    (store.folder / "linked").symlink_to(real)

    store.remove("linked")

    assert (real / "a.gguf").exists()
    assert [] == store.installed()


def test_an_incomplete_model_can_be_removed(store: Store) -> None:
    (put_known(store, JOE) / "en_US-joe-medium.onnx").unlink()

    store.remove(JOE)

    assert not (store.folder / JOE).exists()
