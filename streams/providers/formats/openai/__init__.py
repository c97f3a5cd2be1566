"""The OpenAI format, which requests and answers have here too: format, then answer (whole), stream with merge (in
pieces) and chunks (for others); continuing: behind a partial answer.
"""
