"""The model server: OpenAI, LM Studio and Ollama clients share this machine's models."""
