"""Teaches a tiny recogniser the tone words, from nothing, in well under a minute of one core.

``python -m tests.tiny_moshi.training FOLDER`` writes the checkpoint. The same seeds on one thread make the same one.
The pause heads learn what the words say: after the word that ends a sentence they expect a pause at once, in
mid-sentence only when it has been silent for a while.
"""

import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from tests.tiny_moshi import checkpoint
from tests.tiny_moshi.tones import FRAME_S, WORDS, tone_speech, word_times

import torch  # isort: skip  # checkpoint has said first how it is to be imported
from moshi.models import loaders  # isort: skip
from torch.nn.functional import cross_entropy, pad  # isort: skip

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

FRAME = 1920
DELAY_FRAMES = 6
PADDING, WORD_BEGINS = 3, 0
PAUSE_AFTER_END_FRAMES = (2, 3, 3, 6)
PAUSE_IN_MID_SENTENCE_FRAMES = (8, 12, 16, 24)
"""Silent frames until each head (0.5, 1, 2 and 3 s) sees a pause."""

STEPS = 450
BATCH, POOL = 12, 90
WRONG_CODES = 0.2
NOISES = (0.0, 0.0, 5e-4)
"""Silence may be perfect, or that of a microphone."""


@dataclass
class Lesson:
    """A sentence as the model is to hear and say it; everything but the sound per frame."""

    sound: np.ndarray
    """float32, 24 kHz, whole frames."""
    text: torch.Tensor
    pauses: torch.Tensor
    """[4, frames], bool."""


def lesson(rng: random.Random, tokenizer: object) -> Lesson:
    """Some random words, at any place, with any gaps."""
    words = rng.choices(WORDS, k=rng.randint(2, 10))
    lead, gap = rng.uniform(0.05, 0.9), rng.uniform(0.16, 0.4)
    pause = rng.choice([0.0, rng.uniform(0.3, 1.5)])
    timing = {"lead_s": lead, "gap_s": gap, "pause_s": pause}
    pcm = tone_speech(words, **timing, tail_s=1.8, gain=rng.uniform(0.7, 1.3))
    noisy = pcm / 32768.0 + np.random.default_rng(rng.getrandbits(32)).normal(0, rng.choice(NOISES), len(pcm))
    sound = soxr.resample(noisy.astype(np.float32), 16000, 24000)
    frames = len(sound) // FRAME
    text, spoken, ends = [PADDING] * frames, [False] * frames, [True] * frames
    for word, start, end in word_times(words, **timing):
        first, last = round(start / FRAME_S), round(end / FRAME_S)
        at = first + DELAY_FRAMES
        for offset, token in enumerate([WORD_BEGINS, *tokenizer.encode(word)]):
            if at + offset < frames:
                text[at + offset] = token
        spoken[math.floor(start / FRAME_S) : last] = [True] * len(spoken[math.floor(start / FRAME_S) : last])
        ends[first:] = [word[-1] in ".?!"] * len(ends[first:])
    return Lesson(sound[: frames * FRAME], torch.tensor(text), _pauses(spoken, ends))


def _pauses(spoken: list[bool], ends: list[bool]) -> torch.Tensor:
    silent, found = 99, []
    for is_spoken, is_end in zip(spoken, ends, strict=True):
        silent = 0 if is_spoken else silent + 1
        needed = PAUSE_AFTER_END_FRAMES if is_end else PAUSE_IN_MID_SENTENCE_FRAMES
        found.append([silent >= frames for frames in needed])
    return torch.tensor(found).T


@torch.no_grad()
def batch(lessons: list[Lesson], mimi: torch.nn.Module) -> Batch:
    """Codes [B, K, T], tokens [B, T], pauses [4, B, T]; what the shorter ones lack is silence."""
    longest = max(len(one.text) for one in lessons)
    # One by one: together they take more memory than the allocator keeps, and most of the time goes into getting it.
    codes = [mimi.encode(torch.from_numpy(one.sound).float()[None, None])[0] for one in lessons]
    silent = [torch.cat([each, each[:, -1:].expand(-1, longest - each.shape[1])], 1) for each in codes]
    text = [pad(one.text, (0, longest - len(one.text)), value=PADDING) for one in lessons]
    pauses = [pad(one.pauses, (0, longest - len(one.text)), value=True) for one in lessons]
    return torch.stack(silent), torch.stack(text), torch.stack(pauses, 1)


def loss(lm: torch.nn.Module, codes: torch.Tensor, text: torch.Tensor, pauses: torch.Tensor) -> torch.Tensor:
    """Of the next token and of the pauses, as the streaming engine will ask for them."""
    # Step 0 sees the initial tokens only; step n + 1 sees frame n and what was said at step n.
    heard = torch.cat([torch.full_like(codes[..., :1], lm.initial_token_id), codes], -1)
    silence = torch.full_like(text[:, :1], PADDING)
    said = torch.cat([torch.full_like(silence, lm.text_initial_token_id), silence, text[:, :-1]], 1)
    hidden, logits = lm.forward_text(torch.cat([said[:, None], heard], 1))
    wanted = torch.cat([silence, text], 1)
    weights = torch.where(wanted == PADDING, 0.2, 1.0)
    words = cross_entropy(logits[:, 0].transpose(1, 2), wanted, reduction="none") * weights
    heads = [
        cross_entropy(head(hidden)[:, 1:].transpose(1, 2), (~pause).long())
        for head, pause in zip(lm.extra_heads, pauses, strict=True)
    ]  # class 0 is the pause
    return words.mean() + 0.2 * sum(heads) / len(heads)


def train(folder: Path, steps: int = STEPS) -> None:
    """Write the checkpoint to *folder*."""
    checkpoint.write(folder, codebooks=8, seed=7)
    rng = random.Random(7)
    info = loaders.CheckpointInfo.from_hf_repo("local/tiny", **checkpoint.paths(folder))
    mimi, lm, tokenizer = info.get_mimi(), info.get_moshi(dtype=torch.float32), info.get_text_tokenizer()
    pool = [batch([lesson(rng, tokenizer) for _ in range(BATCH)], mimi) for _ in range(POOL)]
    for weights in lm.parameters():
        weights.requires_grad_(True)
    optimizer = torch.optim.AdamW(lm.parameters(), lr=3e-3, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.15)
    for step in range(steps):
        codes, text, pauses = pool[step % len(pool)]
        # Wrong codes, other ones each time, keep it from learning the few sentences by heart.
        wrong = torch.rand(codes.shape) < WRONG_CODES
        codes = torch.where(wrong, torch.randint_like(codes, checkpoint.CODES), codes)
        value = loss(lm, codes, text, pauses)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
        optimizer.step()
        rate.step()
    checkpoint.save_lm(lm, folder / checkpoint.FILES["moshi_name"])


if __name__ == "__main__":
    train(Path(sys.argv[1]), *map(int, sys.argv[2:]))
