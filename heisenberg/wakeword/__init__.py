"""Wake words. In: 16 kHz samples; out: the name and score of a phrase."""
