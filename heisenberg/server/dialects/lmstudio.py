"""LM Studio's dialect."""
