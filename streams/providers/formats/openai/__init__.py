"""The OpenAI format, which requests and answers have here too: format, then answer (whole) and stream with merge (in pieces)."""
