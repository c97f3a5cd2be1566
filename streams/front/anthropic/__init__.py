"""Anthropic's Messages API as a face of the front: its requests become chat completions, their answers become messages.

The other way about, for upstreams that speak it, is `streams.providers.formats.anthropic`. All here is pure.

Read in this order:
    request     a Messages request as a chat completion's; conversation: its messages
    answer      a chat completion as a message
    events      a chat completion's chunks as the events of a stream
    errors      a problem as the API's error object
"""
