"""Voice activity and endpoints. In: 16 kHz samples; out: probabilities, and where a command starts and ends."""
