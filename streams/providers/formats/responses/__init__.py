"""The Responses format of OpenAI: chats that are asked for there, and answers that go on without a reader.

Read `format` first; request on the way out, answer and stream on the way back.
"""
