"""A talk in tone words, as long as one likes: sentences of random words, with pauses as people make them.

``python -m tests.tiny_moshi.talk FOLDER [SECONDS]`` writes ``talk.wav`` and ``talk.txt`` for ``heisenberg bench ambient
--recordings FOLDER``; tones are no speech to a voice-activity detector, so a test has to stand in for that.
"""

import random
import sys
from pathlib import Path

import numpy as np
import soundfile

from tests.tiny_moshi.tones import RATE_HZ, WORDS, tone_speech

ENDS = tuple(word for word in WORDS if word[-1] in ".?!")
OTHERS = tuple(word for word in WORDS if word not in ENDS)
GAPS_S = (0.16, 0.28)
PAUSES_S = (1.5, 3.5)
"""The words have no capitals, so only a pause tells the end of a sentence; 1.2 s end an utterance."""


def tone_talk(folder: Path, seconds: float, seed: int = 5) -> list[str]:
    """Write it into *folder*; its sentences, the same each time."""
    rng = random.Random(seed)
    sentences: list[str] = []
    sounds, at_s = [np.zeros(RATE_HZ // 2, dtype=np.int16)], 0.5
    while at_s < seconds:
        words = [*rng.choices(OTHERS, k=rng.randint(1, 6)), rng.choice(ENDS)]
        sounds.append(tone_speech(words, lead_s=0.0, gap_s=rng.uniform(*GAPS_S), tail_s=rng.uniform(*PAUSES_S)))
        at_s += len(sounds[-1]) / RATE_HZ
        sentences.append(" ".join(words))
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "talk.wav", np.concatenate(sounds), RATE_HZ, subtype="PCM_16")
    (folder / "talk.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    return sentences


if __name__ == "__main__":
    tone_talk(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 600.0)
