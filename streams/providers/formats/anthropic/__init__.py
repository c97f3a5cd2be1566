"""The Anthropic Messages format, translated from and to the OpenAI format.

Read `format` first.

On the way out: request (what passes, and the most cache marks of one call), messages (turns, roles), parts (texts, images,
files), tools, schemas (of a tool's input and of an answer), thinking, models (which take what), names (of tools, and ids).
On the way back: answer (a whole message), stream (one put together of its events), chunks (its events one by one).
"""
