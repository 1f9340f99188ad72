"""Styles of ambient mode that need no configuration, and which style a name means. Pure data and one function.

A style is a system prompt, fields and addresses (:class:`~heisenberg.core.config.PresetConfig`); one of
``visual.presets`` with the same name wins. Who asks a model with it is ``analyst.py``'s affair.
"""

import difflib
from collections.abc import Mapping

from heisenberg.core.config import PresetConfig, VisualField
from heisenberg.core.errors import ConfigError

CLIP_TOKENS = 77
"""What Stable Diffusion and its kin read of a prompt."""


def _level(description: str, minimum: float = 0.0, maximum: float = 1.0) -> VisualField:
    return VisualField(type="float", description=description, minimum=minimum, maximum=maximum)


BUILT_IN: Mapping[str, PresetConfig] = {
    "streamdiffusion": PresetConfig(
        system_prompt=(
            "Somebody is speaking, and an image model paints what they say. Write the image prompt for one scene, most "
            "of all for the last sentences: in English, phrases with commas between them, first the subject, then the "
            "place, the light and the style. No sentences, no names of people, no words to be read in the picture."
        ),
        fields={
            "prompt": VisualField(description="subject, place, light, style", max_length=300, clip_tokens=CLIP_TOKENS),
            "intensity": _level("how wild the picture is, 0 calm to 1 wild"),
        },
    ),
    "particles": PresetConfig(
        system_prompt=(
            "Somebody is speaking, and a cloud of particles moves to what they say. Choose its numbers for the feeling "
            "and the pictures of the last sentences."
        ),
        fields={
            "shape": VisualField(
                type="enum", description="the shape", values=["cloud", "ring", "wave", "spiral", "burst"]
            ),
            "density": _level("how many, 0 few to 1 very many"),
            "speed": _level("how fast, 0 still to 1 rushing"),
            "turbulence": _level("how unruly, 0 smooth to 1 chaotic"),
            "size": _level("how large, 0 dust to 1 balls"),
            "hue": _level("the colour: 0 red, 0.33 green, 0.66 blue, 1 red"),
        },
    ),
    "shader": PresetConfig(
        system_prompt=(
            "Somebody is speaking, and an abstract pattern follows what they say. Choose its numbers for the feeling "
            "and the pictures of the last sentences."
        ),
        fields={
            "pattern": VisualField(
                type="enum", description="the pattern", values=["waves", "cells", "tunnel", "clouds", "kaleidoscope"]
            ),
            "speed": _level("how fast, 0 still to 1 rushing"),
            "zoom": _level("how near, 0 far to 1 very near"),
            "distortion": _level("how bent, 0 straight to 1 melting"),
            "contrast": _level("how hard, 0 soft to 1 hard"),
            "hue": _level("the colour: 0 red, 0.33 green, 0.66 blue, 1 red"),
        },
    ),
}


def resolve(name: str, configured: Mapping[str, PresetConfig]) -> PresetConfig:
    """The style called *name*: a configured one, else a built-in one; the plain one for "".

    Raises: ConfigError for a name that there is not, saying which there are.
    """
    if not name:
        return PresetConfig()
    found = configured.get(name) or BUILT_IN.get(name)
    if found is None:
        known = names(configured)
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        raise ConfigError(f'There is no style preset "{name}"; there are {", ".join(known)}.{hint}')
    return found


def names(configured: Mapping[str, PresetConfig]) -> list[str]:
    """Every style's name, the configured ones first."""
    return list(dict.fromkeys((*configured, *BUILT_IN)))
