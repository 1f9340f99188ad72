"""Ollama's dialect: requests into llama-server's, its streams into NDJSON."""
