"""Text to speech. In: sentences; out: sound."""
