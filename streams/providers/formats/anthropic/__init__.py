"""The Anthropic Messages format, translated from and to the OpenAI format.

Read `format` first. On the way out: request, messages, parts, tools, thinking, schemas, models, names. On the way back: answer,
stream.
"""
