"""Measurements of the whole program on this machine. In: a configuration; out: tables for people and for docs."""
