"""Wire formats: what is sent to a provider, and what an answer says. Pure.

wire is the interface of a format; openai/, anthropic/ and responses/ implement it. Parts of all: json_body (lenient JSON),
sse (streams), error_bodies (what a provider says went wrong), asked (what of a request its answer is checked against).
"""
