"""Speech to text. In: the samples of a command; out: its words."""
