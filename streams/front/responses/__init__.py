"""OpenAI's Responses API as a face of the front: its requests become chat completions, their answers become responses. All pure.

Read in this order:
    request     a Responses request as a chat completion's; items: what its input holds
    answer      a chat completion as a response; output: the items of its output
    events      a chat completion's chunks as the typed events of a stream
"""
