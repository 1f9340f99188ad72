"""The real ``moshi`` package on tiny checkpoints, loaded by its own loaders: what our engine relies on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from tests.tiny_moshi import WITHOUT_MOSHI, WORDS, build_random, tone_speech, word_times

if WITHOUT_MOSHI:
    pytest.skip("needs: make moshi", allow_module_level=True)

from heisenberg.workers.moshi_checkpoint import found
from heisenberg.workers.moshi_engines import Engines
from heisenberg.workers.moshi_stream import FRAME_SAMPLES, Frame, Listener, Step
from heisenberg.workers.moshi_torch import TorchStepper, available, dtype_for
from tests.word_errors import word_errors

import torch  # isort: skip  # after moshi_torch, which says how it is to behave

pytestmark = pytest.mark.e2e


def frames(sound: np.ndarray) -> list[Frame]:
    """16 kHz int16 as 24 kHz frames; the rest is dropped."""
    heard = soxr.resample(sound.astype(np.float32) / 32768, 16000, 24000).astype(np.float32)
    whole = len(heard) // FRAME_SAMPLES
    return list(heard[: whole * FRAME_SAMPLES].reshape(whole, FRAME_SAMPLES))


def noise(count: int) -> list[Frame]:
    return list(np.random.default_rng(1).normal(0, 0.1, (count, FRAME_SAMPLES)).astype(np.float32))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def random_stepper(nonsense: Path) -> TorchStepper:
    return TorchStepper(found(str(nonsense)), "cpu")


@pytest.fixture(scope="module")
def tone_stepper(tones: Path) -> TorchStepper:
    return TorchStepper(found(str(tones)), "cpu")


def test_it_is_what_its_configuration_says(random_stepper: TorchStepper) -> None:
    assert ("cpu", "float32", 0.5, 0.0) == (
        random_stepper.device, random_stepper.dtype, random_stepper.delay_s, random_stepper.prefix_s,
    )  # fmt: skip
    assert random_stepper.has_pauses
    assert 0 == random_stepper.word_begins


def test_after_a_reset_the_same_sound_gives_the_same_tokens(random_stepper: TorchStepper) -> None:
    def run() -> list[Step]:
        random_stepper.reset()
        return [random_stepper.step(frame) for frame in noise(12)]

    first = run()

    assert first == run()
    assert all(4 == len(step.pauses) and all(0 <= p <= 1 for p in step.pauses) for step in first)


def test_only_whole_frames_are_taken(random_stepper: TorchStepper) -> None:
    with pytest.raises(RuntimeError, match="Invalid input"):
        random_stepper.step(np.zeros(1000, dtype=np.float32))
    random_stepper.reset()


def scripted(stepper: TorchStepper, tokens: list[int]) -> None:
    """Let the real pipeline say *tokens*, whatever it hears; the first step's is never seen."""
    said = iter([3, *tokens])

    def force(logits: torch.Tensor) -> None:
        logits.fill_(-1e9)
        logits[..., next(said, 3)] = 0.0

    stepper._lm.on_text_logits_hook = force


def test_a_scripted_transcript_comes_through_with_pieces_bytes_and_times(nonsense: Path) -> None:
    """``ç`` is no piece of the tokenizer, so it comes as two bytes."""
    stepper = TorchStepper(found(str(nonsense)), "cpu")
    listener = Listener(stepper)
    tokens: list[int] = []
    for word in ("turn", "ça", "light."):
        tokens += [3, 3, 0, *stepper.vocabulary._processor.encode(word)]  # type: ignore[attr-defined]
    scripted(stepper, [3] * 6 + tokens)
    for frame in noise(len(tokens)):
        listener.hear(frame)
    listener.flush()

    assert "turn ça light." == listener.text
    assert ["turn", "ça", "light."] == [word.text for word in listener.words]
    assert 8 * 0.08 - 0.5 == pytest.approx(listener.words[0].start_s)


def test_tone_words_are_truly_transcribed_with_their_times(tone_stepper: TorchStepper) -> None:
    said = "turn on the kitchen light. what time is it now?"
    listener = Listener(tone_stepper)
    for frame in frames(tone_speech(said, gap_s=0.24)):
        listener.hear(frame)
    listener.flush()

    assert said == listener.text
    for (word, start_s, _), heard in zip(word_times(said, gap_s=0.24), listener.words, strict=True):
        assert word == heard.text
        assert abs(start_s - heard.start_s) < 0.13


def test_sentences_it_never_heard_are_understood_nearly_all(tone_stepper: TorchStepper) -> None:
    rng = np.random.default_rng(5)
    wrong = words = 0
    for _ in range(12):
        said = [str(word) for word in rng.choice(WORDS, size=6)]
        listener = Listener(tone_stepper)
        sound = tone_speech(
            said, lead_s=rng.uniform(0.1, 0.9), gap_s=rng.uniform(0.2, 0.36), gain=rng.uniform(0.8, 1.2)
        )
        for frame in frames(np.concatenate([sound, np.zeros(800, dtype=np.int16)])):
            listener.hear(frame)
        listener.flush()
        wrong += word_errors(" ".join(said), listener.text)
        words += len(said)

    assert wrong / words < 0.08


def test_the_pause_heads_know_a_finished_sentence_from_a_breath(tone_stepper: TorchStepper) -> None:
    """0.6 s of silence after ``now?`` is a pause, after ``the`` it is none."""

    def pause(said: str) -> float:
        listener = Listener(tone_stepper)
        heard = [listener.hear(frame) for frame in frames(tone_speech(said, lead_s=0.8, tail_s=0.4))]
        assert heard[-1].pauses is not None
        return heard[-1].pauses[2]

    assert pause("what time is it now?") > 0.6
    assert pause("turn on the") < 0.4


def test_a_model_without_pause_heads_and_with_a_silent_prefix(tmp_path: Path) -> None:
    """As stt-2.6b-en is."""
    folder = build_random(tmp_path, heads=0, delay_s=2.5, prefix_s=1.0)
    engines = Engines(found(str(folder)), "cpu", 1)
    listener = Listener(engines.stepper, engines.fall_back)

    assert not engines.stepper.has_pauses
    assert listener.hear(noise(1)[0]).pauses is None
    assert (2.5, 1.0) == (engines.stepper.delay_s, engines.stepper.prefix_s)


def test_a_device_that_computes_no_numbers_is_noticed(nonsense: Path) -> None:
    stepper = TorchStepper(found(str(nonsense)), "cpu")
    stepper.step(noise(1)[0])
    with torch.no_grad():
        stepper._lm.lm_model.text_linear.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="no numbers"):
        stepper.step(noise(1)[0])


def test_when_it_happens_in_mid_sentence_the_next_model_goes_on(tones: Path) -> None:
    said = "turn on the kitchen light."
    load = [("mps", lambda checkpoint, _: TorchStepper(checkpoint, "cpu"))] * 2
    engines = Engines(found(str(tones)), "auto", 1, list(load))
    engines._candidates = [("cpu", load[0][1])]
    listener = Listener(engines.stepper, engines.fall_back)
    heard = []
    for n, frame in enumerate(frames(tone_speech(said))):
        if n == 22:
            with torch.no_grad():
                engines.stepper._lm.lm_model.text_linear.weight.fill_(float("nan"))  # type: ignore[attr-defined]
        heard.append(listener.hear(frame))
    listener.flush()

    assert said == listener.text
    assert ["cpu failed while it listened (cpu computes no numbers any more); cpu goes on."] == [
        notice for one in heard for notice in one.notices
    ]


def test_a_gpu_that_is_not_there_is_replaced_by_the_cpu_with_a_notice(nonsense: Path) -> None:
    missing = next(device for device in ("mps", "cuda") if device != available("auto"))
    engines = Engines(found(str(nonsense)), missing, 1)

    assert "cpu" == engines.stepper.device
    assert [f"{missing} cannot run the recogniser"] == [notice.split(" (")[0] for notice in engines.notices]


def test_on_the_cpu_it_computes_in_float32() -> None:
    assert torch.float32 == dtype_for("cpu")


def test_the_files_of_a_recogniser_may_name_conditions_that_are_empty(nonsense: Path, tmp_path: Path) -> None:
    """As the released ones do."""
    for file in nonsense.iterdir():
        (tmp_path / file.name).symlink_to(file)
    config: Any = (nonsense / "config.json").read_text()
    fuser = '"fuser": {"sum": [], "prepend": [], "cross": [], "cross_attention_pos_emb": false}'
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(config.replace('"conditioners": {}', f'"conditioners": {{}}, {fuser}'))

    assert TorchStepper(found(str(tmp_path)), "cpu").step(noise(1)[0]).token >= 0
