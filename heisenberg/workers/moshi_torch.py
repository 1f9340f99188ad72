"""Kyutai's recogniser on PyTorch (the ``moshi`` package): CPU, CUDA, and Apple's MPS as well as that goes.

Tells PyTorch and moshi how to behave before they are imported, so it is to be imported first. Nothing is compiled (a
first frame of 30 s on a CPU), and what MPS lacks runs on the CPU. Mimi always computes in float32.
"""

import logging
import os
import warnings

os.environ["NO_TORCH_COMPILE"] = "1"
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import numpy as np
import torch
from moshi.models import LMGen, loaders

from heisenberg.workers.moshi_checkpoint import Checkpoint, Unusable
from heisenberg.workers.moshi_stream import Frame, Step
from heisenberg.workers.moshi_text import SentencePieces, Vocabulary

log = logging.getLogger(__name__)

GREEDY = {"temp": 0.0, "temp_text": 0.0}
"""A transcript is not sampled."""


class TorchStepper:
    """The model and its state on one device.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises: Unusable for files that are no model; whatever the device raises.
    """

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        info = _info(checkpoint)
        dtype = dtype_for(device)
        self._mimi = info.get_mimi(device=device)
        lm = info.get_moshi(device=device, dtype=dtype)
        # condition_tensors: empty, as recognisers have no conditions, but some of their files an empty list of them.
        self._lm = LMGen(lm, condition_tensors={}, on_text_logits_hook=self._look, **{**GREEDY, **info.lm_gen_config})
        self._mimi.streaming_forever(1)
        self._lm.streaming_forever(1)
        self.device, self.dtype = device, str(dtype).removeprefix("torch.")
        self.delay_s, self.prefix_s = checkpoint.delay_s, checkpoint.prefix_s
        self.has_pauses = len(lm.extra_heads) >= 3
        self.word_begins = int(lm.end_of_text_padding_id)
        silent = frozenset({self.word_begins, int(lm.text_padding_token_id)})
        self.vocabulary: Vocabulary = SentencePieces(info.get_text_tokenizer(), silent)
        self._is_first = True
        self._is_sane = torch.tensor(True)

    def reset(self) -> None:
        """Forget all that was heard."""
        self._mimi.reset_streaming()
        self._lm.reset_streaming()
        self._is_first = True

    def step(self, frame: Frame) -> Step:
        """Hear one frame. Raises FloatingPointError where the device no longer computes numbers."""
        with torch.no_grad():
            return self._step(frame)

    def close(self) -> None:
        """Give its memory back; it is not used any more."""
        del self._mimi, self._lm

    def _step(self, frame: Frame) -> Step:
        codes = self._mimi.encode(torch.from_numpy(np.ascontiguousarray(frame)).to(self.device)[None, None])
        if self._is_first:
            self._lm.step(codes)  # the first step only knows its initial tokens, whatever it is given
            self._is_first = False
        found = self._lm.step_with_extra_heads(codes)
        if found is None:
            raise RuntimeError("the model said nothing: its streams have delays, which a recogniser's have not")
        tokens, heads = found
        if not bool(self._is_sane):
            raise FloatingPointError(f"{self.device} computes no numbers any more")
        pauses = tuple(float(head[0, 0, 0]) for head in heads) if self.has_pauses else ()
        return Step(int(tokens[0, 0, 0]), pauses)

    def _look(self, logits: torch.Tensor) -> None:
        self._is_sane = torch.isfinite(logits).all()


def available(asked: str) -> str:
    """The device for *asked*; ``auto`` is the best there is. Raises RuntimeError for one that is not there."""
    has = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available(), "cpu": True}
    if asked == "auto":
        return next(device for device, is_there in has.items() if is_there)
    if asked not in has:
        raise ValueError(f"no device {asked!r}; there are auto, cpu, cuda and mps")
    if not has[asked]:
        raise RuntimeError(f"PyTorch {torch.__version__} finds no {asked} device on this machine")
    return asked


def dtype_for(device: str) -> torch.dtype:
    """What the language model computes in: bfloat16 where the device is fast at it and right."""
    if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    if device == "mps" and _multiplies(device, torch.bfloat16):
        return torch.bfloat16
    return torch.float32


def _multiplies(device: str, dtype: torch.dtype) -> bool:
    """Whether a small product comes out right: before macOS 14, MPS refuses bfloat16."""
    try:
        ones = torch.ones(64, 64, device=device, dtype=dtype)
        return bool(((ones @ ones).float().cpu() == 64.0).all())
    except (RuntimeError, TypeError) as exc:
        log.info("No %s on %s: %s", dtype, device, exc)
        return False


def _info(checkpoint: Checkpoint) -> loaders.CheckpointInfo:
    files = {
        "moshi_weights": checkpoint.file("moshi_name"),
        "mimi_weights": checkpoint.file("mimi_name"),
        "tokenizer": checkpoint.file("tokenizer_name"),
        "mimi_config_path": checkpoint.file("mimi_config_name"),
        "lora_weights": checkpoint.file("lora_name"),
        "config_path": checkpoint.file("config"),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return loaders.CheckpointInfo.from_hf_repo(checkpoint.repository, **files)
    except (OSError, ValueError, KeyError) as exc:
        raise Unusable(f"{checkpoint.repository} cannot be read: {exc}") from exc


def use_threads(threads: int) -> None:
    """Let PyTorch compute on so many; 0 leaves it to PyTorch."""
    if threads > 0:
        torch.set_num_threads(threads)
