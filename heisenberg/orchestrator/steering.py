"""What stands behind the controls: commands of OSC and others, and a configuration that changes while it runs.

The session is told what to do; what belongs to other stages (another prompt, other OSC targets) is done by whoever was
given for it. It holds the configuration in force, decides which keys may change without a restart, and says which may
not. Where commands and files come from is not its affair.
"""

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from heisenberg.core.config import BrainConfig, Config, PresetConfig
from heisenberg.core.errors import ConfigError, HeisenbergError
from heisenberg.core.keys import choices, node_at

log = logging.getLogger(__name__)

MODES = ("assistant", "ambient")

PROMPT_KEYS = frozenset(
    {"llm.personality", "llm.system_prompt", "llm.temperature", "llm.seed", "llm.max_tokens"}
    | {"visual.schema", "visual.order"}
)
"""What only the prompt and the form of an answer depend on."""

BRAIN_KEYS = frozenset({"brain.analysis_interval", "brain.sentence_timeout", "brain.window_seconds"})

LIVE_KEYS = PROMPT_KEYS | BRAIN_KEYS | {"visual.preset", "visual.presets", "turn.stop_words", "osc.targets"}
"""Keys that are applied at once when the file changes; every other one needs a restart."""


class Steered(Protocol):
    """What is steered: the session."""

    def listen(self) -> None:
        """See :class:`~heisenberg.core.controls.Controls`, as for the following."""

    def stop(self) -> None: ...

    def mute(self, is_muted: bool | None) -> None: ...

    def say(self, text: str) -> None: ...

    def ask(self, text: str) -> None: ...

    def set_mode(self, mode: str) -> None: ...

    def set_preset(self, name: str, preset: PresetConfig) -> None: ...

    def set_stop_words(self, stop_words: Sequence[str]) -> None: ...

    def tune_ambience(self, brain: BrainConfig) -> None: ...

    def configuration_changed(self, keys: Sequence[str]) -> None:
        """Told which keys of another configuration are in force."""

    def personality_changed(self, name: str) -> None:
        """Told when the prompts have another personality."""


@dataclass(frozen=True, slots=True)
class Others:
    """Who does what the session cannot."""

    find_preset: Callable[[str, Mapping[str, PresetConfig]], PresetConfig]
    """The style of a name. Raises ConfigError."""
    rephrase: Callable[[Config], None]
    """From the next question on, ask with the prompts of this configuration. Raises HeisenbergError."""
    retarget: Callable[[Sequence[str]], None]
    """From now on, send OSC to these."""


class Steering:
    """The controls of one session; see :class:`~heisenberg.core.controls.Controls`.

    Args:
        session: obeys.
        config: the configuration that it began with.
        others: do the rest.
        can_wake: whether the wake word is listened for; without it only ambient mode makes sense.
    """

    def __init__(self, session: Steered, config: Config, others: Others, *, can_wake: bool = True) -> None:
        self._session = session
        self._others = others
        self._can_wake = can_wake
        self._preset = config.visual.preset
        self._personality_told = config.llm.personality
        self._file = config
        self.config = config
        """What is in force."""

    # ── commands ─────────────────────────────────────────────────────────────────────────────────

    def listen(self) -> None:
        """Listen for a command, as after the wake word."""
        self._session.listen()

    def stop(self) -> None:
        """Fall silent at once."""
        self._session.stop()

    def mute(self, is_muted: bool | None) -> None:
        """Ignore the microphone, or hear it again."""
        self._session.mute(is_muted)

    def say(self, text: str) -> None:
        """Say *text* as it is."""
        self._session.say(text)

    def ask(self, text: str) -> None:
        """Answer *text*."""
        self._session.ask(text)

    def set_mode(self, name: str) -> None:
        """``assistant`` or ``ambient``. Raises ConfigError."""
        _check("mode", name, MODES)
        if name == "assistant" and not self._can_wake:
            raise ConfigError(
                "There is no wake word to wait for in assistant mode: the program began in ambient mode with "
                "brain.commands = false. Set it to true, and start again."
            )
        self._session.set_mode(name)

    def set_preset(self, name: str) -> None:
        """The style of ambient mode. Raises ConfigError."""
        preset = self.style(name)
        self._preset = name
        self._session.set_preset(name, preset)

    def set_personality(self, name: str) -> None:
        """How the assistant speaks, from the next question on. Raises HeisenbergError."""
        _check("personality", name, choices(node_at(("llm", "personality")) or {}))
        if name != self.config.llm.personality:
            self._rephrase({"llm.personality": name})
            self._tell_personality()
        if self.config.llm.system_prompt.strip():
            log.warning("llm.system_prompt is set, and takes the place of any personality.")

    def style(self, name: str) -> PresetConfig:
        """The style called *name*. Raises ConfigError."""
        return self._others.find_preset(name, self.config.visual.presets)

    # ── another configuration ────────────────────────────────────────────────────────────────────

    def apply(self, new: Config) -> None:
        """The file says *new* now: obey where that is safe, and say where it takes a restart."""
        changed = changed_keys(self._file, new)
        self._file = new
        if not changed:
            return
        live = {key: new_value for key, new_value in changed.items() if key in LIVE_KEYS}
        self.config = _with(self.config, live)
        if PROMPT_KEYS & live.keys():
            self._rephrase_if_possible()
        if "turn.stop_words" in live:
            self._session.set_stop_words(new.turn.stop_words)
        if BRAIN_KEYS & live.keys():
            self._session.tune_ambience(self.config.brain)
        if "osc.targets" in live:
            self._others.retarget(new.osc.targets)
        if {"visual.preset", "visual.presets", "visual.schema"} & live.keys():
            self._wear(new.visual.preset if "visual.preset" in live else self._preset)
        if live:
            log.info("The configuration changed; in force now: %s.", ", ".join(sorted(live)))
            self._session.configuration_changed(sorted(live))
        for key in sorted(changed.keys() - LIVE_KEYS):
            log.warning("The configuration changed: %s takes effect after a restart.", key)

    def _wear(self, name: str) -> None:
        try:
            self.set_preset(name)
        except ConfigError as exc:  # one that was chosen by command, and was taken out of the file
            log.warning("%s The style stays as it was.", exc)

    def _rephrase_if_possible(self) -> None:
        try:
            self._others.rephrase(self.config)
        except HeisenbergError as exc:  # its model is not there any more, say; what else changed is obeyed all the same
            log.error("The prompts stay as they were. %s", exc)
        else:
            self._tell_personality()

    def _tell_personality(self) -> None:
        """Once it is in force."""
        if self.config.llm.personality != self._personality_told:
            self._personality_told = self.config.llm.personality
            self._session.personality_changed(self._personality_told)

    def _rephrase(self, values: Mapping[str, object]) -> None:
        config = _with(self.config, values)
        self._others.rephrase(config)
        self.config = config


def changed_keys(old: Config, new: Config) -> dict[str, Any]:
    """Keys (``llm.personality``) that are not the same, with their new values."""
    changed: dict[str, Any] = {}
    for section in Config.model_fields:
        before, after = getattr(old, section), getattr(new, section)
        for name, field in type(after).model_fields.items():
            if getattr(before, name) != getattr(after, name):
                changed[f"{section}.{field.alias or name}"] = getattr(after, name)
    return changed


def _with(config: Config, values: Mapping[str, object]) -> Config:
    """*config* with other *values*, which were checked when they were read."""
    for key, value in values.items():
        section_name, _, alias = key.partition(".")
        section = getattr(config, section_name)
        name = next(name for name, field in type(section).model_fields.items() if alias in (name, field.alias))
        config = config.model_copy(update={section_name: section.model_copy(update={name: value})})
    return config


def _check(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        raise ConfigError(f'There is no {what} "{name}"; there are {", ".join(known)}.{hint}')
