"""The routes of a front, a file an API. Each has a function that gives its route definitions; `server` puts them together.

Read in this order:
    asking      a request is published and its answer waited for, whatever the API
    replies     HTTP answers: JSON, refusals, the headers that tell what became of a request
    faults      whatever goes wrong, as the API's own error object
    openai      chat completions, embeddings, models; anthropic: messages; responses: OpenAI's Responses API
    requests    where a request is, by its id; cancels: an explicit cancel; seeing: which ones a client may see
"""
