"""Configuration in, wired parts out: with ``main.py``, the only place that knows concrete classes."""
