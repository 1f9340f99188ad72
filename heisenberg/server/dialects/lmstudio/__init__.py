"""LM Studio's dialect: its first API (v0), which is OpenAI's with figures, and its second (v1) with events."""
