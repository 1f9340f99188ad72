"""Speech for other programs: OpenAI's audio routes."""
