"""The stages of the audio thread, which nobody else touches while it runs."""

from dataclasses import dataclass, field

from heisenberg.core.audio import Meters
from heisenberg.core.config import VadConfig
from heisenberg.core.stages import AudioSource, EchoCanceller, Endpointer, SampleRing, VadEngine, WakewordEngine
from heisenberg.orchestrator.background import Background
from heisenberg.orchestrator.guard import BargeIn


@dataclass(slots=True)
class Ears:
    """The stages that the thread owns."""

    source: AudioSource
    wakeword: WakewordEngine
    vad: VadEngine
    endpointer: Endpointer
    ring: SampleRing
    background: Background = field(default_factory=Background)
    meters: Meters = field(default_factory=Meters)
    echo: EchoCanceller | None = None
    barge_in: BargeIn = BargeIn.WAKE_WORD
    speech: VadConfig = field(default_factory=VadConfig)
    """Thresholds for what is overheard in ambient mode."""
    follows_pauses: bool = False
    """Whether the recogniser is to hear the pauses of a command as they pass."""
