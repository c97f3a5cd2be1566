"""The Responses format of OpenAI: chats that are asked for there, and answers that go on without a reader."""
