"""What the catalog promises about the models that it knows."""

import re

import pytest

from heisenberg.core.config import Config
from heisenberg.core.languages import ENGLISH_ONLY
from heisenberg.runner.catalog import shapes
from heisenberg.runner.catalog.kits import KITS, KNOWN_MODELS, HubSource, JointSource, KnownModel, PackageSource, Source

MODELS = pytest.mark.parametrize("model", KNOWN_MODELS.values(), ids=lambda model: model.name)


@MODELS
def test_a_model_is_recognised_by_the_files_it_promises(model: KnownModel) -> None:
    recognised = shapes.recognise(file.name for file in model.files)

    assert recognised is not None
    assert model.kind == recognised[0]
    assert {file.name for file in model.files} == set(recognised[1])


@MODELS
def test_every_source_delivers_every_file(model: KnownModel) -> None:
    for source in model.sources:
        assert {file.name for file in model.files} <= source.names


@MODELS
def test_names_are_safe_on_every_disk(model: KnownModel) -> None:
    assert shapes.is_safe_name(model.name)
    assert all(shapes.is_safe_name(file.name) for file in model.files)


@MODELS
def test_what_comes_from_a_package_is_pinned_with_size_and_checksum(model: KnownModel) -> None:
    packages = [each for source in model.sources for each in members(source) if isinstance(each, PackageSource)]
    if packages:
        assert all(file.size_bytes and re.fullmatch("[0-9a-f]{64}", file.sha256) for file in model.files)
    for package in packages:
        sign = "@" if package.registry == "npm" else "=="
        assert all(re.fullmatch(rf"[a-z0-9-]+{sign}[0-9.]+", name) for name in package.requirements)


def members(source: Source) -> tuple[PackageSource | HubSource, ...]:
    return source.members if isinstance(source, JointSource) else (source,)


def test_the_starter_kit_is_what_the_default_configuration_needs() -> None:
    config = Config()

    assert {config.stt.model, config.llm.model, config.tts.voice} <= set(KITS["starter"])


def test_the_starter_kit_has_a_second_source_for_everything() -> None:
    """Given an index that is not reachable, the hub is; and the other way round."""
    for name in KITS["starter"]:
        assert [PackageSource, HubSource] == [type(source) for source in KNOWN_MODELS[name].sources]


def test_the_french_kit_hears_and_speaks_french() -> None:
    kinds = {KNOWN_MODELS[name].kind: name for name in KITS["french"]}

    assert {"stt", "tts"} == set(kinds)
    assert not kinds["stt"].endswith(ENGLISH_ONLY)
    assert "ff_siwis.bin" in {file.name for file in KNOWN_MODELS[kinds["tts"]].files}


def test_a_model_in_two_packages_is_put_together_in_order() -> None:
    (source, _) = KNOWN_MODELS["whisper-base"].sources
    assert isinstance(source, PackageSource)

    assert ["part1", "part2"] == [part.member[-5:] for part in source.parts["model.bin"]]
    assert 2 == len(source.requirements)
