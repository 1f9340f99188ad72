"""Kyutai's recogniser on MLX (``moshi_mlx`` 0.3.0), for Macs with Apple silicon.

Written against the package's source. Its use of ``LmGen``, of the weights and of the step limit was run with MLX's CPU
build on Linux, with a tiny model; on a Mac's GPU, with ``rustymimi`` and with the real weights it has not run yet.

``LmGen`` writes every step into a buffer of ``max_steps`` columns and refuses the step after the last. When it is
full, a fresh one takes over with the last columns; what the model has heard is in its own rotating caches, which stay,
so nothing is lost and nothing has to be heard again. It also hears each frame one step later than PyTorch's.
"""

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import sentencepiece
from moshi_mlx import models, utils

from heisenberg.workers.moshi_checkpoint import Checkpoint, Unusable
from heisenberg.workers.moshi_stream import FRAME_S, Frame, Step
from heisenberg.workers.moshi_text import SentencePieces, Vocabulary

MOST_STEPS = 1500
"""Two minutes; the buffer is copied in each step, so it is small."""

WORD_BEGINS, PADDING = 0, 3
DEFAULT_CONTEXT = 750


class MlxStepper:
    """The model and its state.

    Args:
        model: ``moshi_mlx.models.Lm`` with its weights.
        codec: as ``rustymimi.Tokenizer``: ``encode_step(float32 [1, 1, 1920]) -> [1, codebooks, 1]``, ``reset()``.
        vocabulary: of the checkpoint.
    """

    device = "mlx"
    word_begins = WORD_BEGINS

    def __init__(self, model: Any, codec: Any, vocabulary: Vocabulary, delay_s: float, prefix_s: float) -> None:
        self._model, self._codec = model, codec
        self.vocabulary = vocabulary
        self.dtype = str(model.text_linear.weight.dtype).removeprefix("mlx.core.")
        self.delay_s, self.prefix_s = delay_s + FRAME_S, prefix_s
        self.has_pauses = len(model.extra_heads) >= 3
        self._generator = self._fresh()

    def reset(self) -> None:
        """Forget all that was heard."""
        self._codec.reset()
        for cache in self._model.transformer_cache:
            cache.reset()
        self._generator = self._fresh()

    def step(self, frame: Frame) -> Step:
        """Hear one frame."""
        if self._generator.step_idx >= MOST_STEPS:
            self._roll_over()
        codes = mx.array(np.asarray(self._codec.encode_step(frame[None, None])))
        wanted = codes.transpose(0, 2, 1)[:, :, : self._model.cfg.other_codebooks]
        token, heads = self._generator.step_with_extra_heads(wanted[0])
        pauses = tuple(float(head[0, 0, 0].item()) for head in heads) if self.has_pauses else ()
        return Step(int(token[0].item()), pauses)

    def close(self) -> None:
        """Give its memory back; it is not used any more."""
        del self._model, self._codec, self._generator

    def _fresh(self) -> Any:
        greedy = utils.Sampler(temp=0.0)
        return models.LmGen(self._model, max_steps=MOST_STEPS, text_sampler=greedy, audio_sampler=greedy)

    def _roll_over(self) -> None:
        """A fresh buffer that begins with the columns that the next step will look at."""
        old, self._generator = self._generator, self._fresh()
        columns = old.max_delay + 2
        self._generator.gen_sequence[:, :, :columns] = old.gen_sequence[:, :, -columns:]
        self._generator.step_idx = columns


def opened(checkpoint: Checkpoint) -> MlxStepper:
    """Load *checkpoint*: PyTorch's weights, or MLX's own (also quantised ones). Raises Unusable."""
    import rustymimi

    weights, mimi, tokenizer = (
        checkpoint.file(key) or _missing(checkpoint, key) for key in ("moshi_name", "mimi_name", "tokenizer_name")
    )
    config = dict(checkpoint.config)
    model = loaded(config, weights)
    codec = rustymimi.Tokenizer(str(mimi), num_codebooks=int(config["n_q"]))
    processor = sentencepiece.SentencePieceProcessor(str(tokenizer))
    vocabulary = SentencePieces(processor, frozenset({WORD_BEGINS, PADDING}))
    return MlxStepper(model, codec, vocabulary, checkpoint.delay_s, checkpoint.prefix_s)


def loaded(config: dict[str, Any], weights: Path) -> Any:
    """The language model of config.json with its weights, in bfloat16 or as they are quantised."""
    import mlx.nn

    described = models.LmConfig.from_config_dict(config)
    model = models.Lm(described)
    model.set_dtype(mx.bfloat16)
    for bits, group in ((4, 32), (8, 64)):
        if weights.name.endswith(f".q{bits}.safetensors"):
            mlx.nn.quantize(model, bits=bits, group_size=group)
    if "out_norm.alpha" in mx.load(str(weights)):  # PyTorch's names
        model.load_pytorch_weights(str(weights), described, strict=True)
    else:
        model.load_weights(str(weights), strict=True)
    return model


def _missing(checkpoint: Checkpoint, key: str) -> Path:
    raise Unusable(f"The config.json of {checkpoint.repository} names no {key}.")
