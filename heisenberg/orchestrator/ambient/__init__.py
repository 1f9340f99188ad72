"""Ambient mode: speech → segments → words → sentences → a window → analyses → visuals; no wake word, no answer."""
