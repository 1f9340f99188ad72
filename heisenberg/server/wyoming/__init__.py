"""Speech and wake words for Wyoming clients such as Home Assistant."""
