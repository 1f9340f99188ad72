"""Where results go: OSC, speech, console, JSON lines. In: events; out: the world."""
