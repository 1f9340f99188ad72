"""The brain. In: a question and the history; out: tokens, sentences and visual fields while they grow."""
