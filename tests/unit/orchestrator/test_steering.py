"""Commands and changed configurations, and who obeys them."""

from collections.abc import Mapping, Sequence

import pytest

from heisenberg.core.config import BrainConfig, Config, PresetConfig
from heisenberg.core.controls import Controls
from heisenberg.core.errors import ConfigError, ModelNotFound
from heisenberg.orchestrator.steering import LIVE_KEYS, Others, Steering, changed_keys

PAPER = PresetConfig(system_prompt="Everything is paper.")


class Obedient:
    """A session that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.in_force: list[list[str]] = []

    def listen(self) -> None:
        self.told.append(("listen",))

    def stop(self) -> None:
        self.told.append(("stop",))

    def mute(self, is_muted: bool | None) -> None:
        self.told.append(("mute", is_muted))

    def say(self, text: str) -> None:
        self.told.append(("say", text))

    def ask(self, text: str) -> None:
        self.told.append(("ask", text))

    def set_mode(self, mode: str) -> None:
        self.told.append(("mode", mode))

    def set_preset(self, name: str, preset: PresetConfig) -> None:
        self.told.append(("preset", name, preset))

    def set_stop_words(self, stop_words: Sequence[str]) -> None:
        self.told.append(("stop_words", list(stop_words)))

    def configuration_changed(self, keys: Sequence[str]) -> None:
        self.in_force.append(list(keys))

    def personality_changed(self, name: str) -> None:
        self.told.append(("personality", name))

    def tune_ambience(self, brain: BrainConfig) -> None:
        self.told.append(("brain", brain))


class Scene:
    """Steering over a session that obeys."""

    def __init__(self, *, can_wake: bool = True, **values: object) -> None:
        self.session = Obedient()
        self.rephrased: list[Config] = []
        self.targets: list[Sequence[str]] = []
        others = Others(find, self.rephrased.append, self.targets.append)
        self.config = Config.model_validate(values)
        self.steering = Steering(self.session, self.config, others, can_wake=can_wake)

    def apply(self, **values: object) -> None:
        self.steering.apply(Config.model_validate(values))


def find(name: str, configured: Mapping[str, PresetConfig]) -> PresetConfig:
    known = {"": PresetConfig(), "paper": PAPER, **configured}
    if name not in known:
        raise ConfigError(f'There is no style preset "{name}".')
    return known[name]


def test_every_control_reaches_the_session() -> None:
    scene = Scene()
    controls: Controls = scene.steering
    controls.listen()
    controls.stop()
    controls.mute(None)
    controls.say("Hello.")
    controls.ask("Why?")
    controls.set_mode("ambient")
    controls.set_preset("paper")

    assert [
        ("listen",),
        ("stop",),
        ("mute", None),
        ("say", "Hello."),
        ("ask", "Why?"),
        ("mode", "ambient"),
        ("preset", "paper", PAPER),
    ] == scene.session.told


def test_another_personality_is_another_prompt() -> None:
    scene = Scene()
    scene.steering.set_personality("dj")
    scene.steering.set_personality("dj")

    assert ["dj"] == [config.llm.personality for config in scene.rephrased]
    assert [("personality", "dj")] == scene.session.told


def test_another_personality_in_the_file_is_told_once() -> None:
    scene = Scene()
    scene.apply(llm={"personality": "dj"})
    scene.apply(llm={"personality": "dj", "temperature": 0.1})

    assert [("personality", "dj")] == scene.session.told


def test_a_personality_behind_a_system_prompt_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(llm={"system_prompt": "Be brief."})
    scene.steering.set_personality("dj")

    assert "llm.system_prompt is set" in caplog.text


def test_names_that_there_are_not_are_refused() -> None:
    scene = Scene()
    with pytest.raises(ConfigError, match='Did you mean "poet"'):
        scene.steering.set_personality("Poett")
    with pytest.raises(ConfigError, match="there are assistant, ambient"):
        scene.steering.set_mode("party")
    with pytest.raises(ConfigError, match="no style preset"):
        scene.steering.set_preset("stone")

    assert [] == scene.session.told + scene.rephrased


def test_nobody_is_left_without_a_wake_word() -> None:
    scene = Scene(can_wake=False)
    scene.steering.set_mode("ambient")
    with pytest.raises(ConfigError, match=r"brain\.commands"):
        scene.steering.set_mode("assistant")


# ── another configuration ────────────────────────────────────────────────────────────────────────


def test_the_same_configuration_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.apply()

    assert [] == scene.session.told + scene.rephrased + caplog.messages


@pytest.mark.parametrize(
    "values",
    [
        {"llm": {"personality": "dj"}},
        {"llm": {"system_prompt": "Be brief."}},
        {"llm": {"temperature": 0.1}},
        {"visual": {"schema": {"title": {}}}},
    ],
)
def test_other_prompts_count_at_once(values: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    """That is good news: no warning."""
    scene = Scene()
    scene.apply(**values)

    assert [Config.model_validate(values)] == scene.rephrased
    assert 1 == len(scene.session.in_force)
    assert [] == [record.message for record in caplog.records if record.levelname != "INFO"]


def test_other_stop_words_targets_and_times_count_at_once() -> None:
    scene = Scene()
    scene.apply(turn={"stop_words": ["basta"]}, osc={"targets": []}, brain={"analysis_interval": 3.0})

    assert [("stop_words", ["basta"]), ("brain", BrainConfig(analysis_interval=3.0))] == scene.session.told
    assert [[]] == scene.targets


def test_another_style_counts_at_once_and_so_does_what_it_means_now() -> None:
    scene = Scene(visual={"presets": {"mine": {}}})
    scene.steering.set_preset("mine")
    scene.apply(visual={"presets": {"mine": {"system_prompt": "Be bold."}}})
    scene.apply(visual={"presets": {"mine": {"system_prompt": "Be bold."}}, "preset": "mine"})
    scene.apply(visual={"presets": {"mine": {"system_prompt": "Be bold."}}, "preset": ""})

    bold = PresetConfig(system_prompt="Be bold.")
    assert [
        ("preset", "mine", PresetConfig()),
        ("preset", "mine", bold),
        ("preset", "mine", bold),
        ("preset", "", PresetConfig()),
    ] == scene.session.told


def test_a_style_that_is_taken_away_while_it_is_worn_stays(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(visual={"presets": {"mine": {}}})
    scene.steering.set_preset("mine")
    scene.apply()

    assert [("preset", "mine", PresetConfig())] == scene.session.told
    assert "stays as it was" in caplog.text


def test_what_needs_a_restart_is_said_key_by_key(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.apply(stt={"beam_size": 1}, audio={"channels": 2}, llm={"personality": "dj"})

    assert [
        "The configuration changed: audio.channels takes effect after a restart.",
        "The configuration changed: stt.beam_size takes effect after a restart.",
    ] == [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [["llm.personality"]] == scene.session.in_force
    assert 3 == scene.rephrased[0].stt.beam_size
    assert 1 == scene.rephrased[0].audio.channels


def test_what_was_commanded_outlives_a_change_of_something_else() -> None:
    scene = Scene()
    scene.steering.set_personality("dj")
    scene.apply(llm={"temperature": 0.1})

    assert ("dj", 0.1) == (scene.rephrased[-1].llm.personality, scene.rephrased[-1].llm.temperature)


def test_prompts_that_cannot_be_changed_keep_nothing_else_from_changing(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody moved the model's files away while it ran."""
    scene = Scene()

    def rephrase(config: Config) -> None:
        raise ModelNotFound('Model "smollm2-135m" is not installed.')

    steering = Steering(scene.session, scene.config, Others(find, rephrase, scene.targets.append))
    with pytest.raises(ModelNotFound):
        steering.set_personality("poet")
    with pytest.raises(ModelNotFound):  # not taken for done
        steering.set_personality("poet")
    steering.apply(Config.model_validate({"llm": {"temperature": 0.1}, "osc": {"targets": ["10.0.0.9:9000"]}}))

    assert [["10.0.0.9:9000"]] == scene.targets
    assert "The prompts stay as they were." in caplog.text


def test_every_live_key_exists() -> None:
    every = {f"{section}.{name}" for section, table in Config().model_dump(by_alias=True).items() for name in table}

    assert LIVE_KEYS <= every


def test_changes_are_found_by_their_names_in_the_file() -> None:
    changed = changed_keys(Config(), Config.model_validate({"visual": {"schema": {"title": {}}}}))

    assert ["visual.schema"] == list(changed)
