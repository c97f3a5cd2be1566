"""An LLM provider that costs nothing: an HTTP server in the OpenAI and Anthropic formats, with limits, latency and faults.

    service     what becomes of one call. Read it first; server (HTTP/1.1) and http2 are around it
    settings    what it does to all calls (`SimSettings`), and what one call asks for itself (its `headrace_sim` field, `Hint`)
    behaviour   how long a call takes and how it ends; limits: what does not fit is refused with 429
    answers     an answer as a function of the request's body; anthropic: the same in that format; structured: a value
                that fits a schema
    events      an answer as a stream; reply: how it goes out, well or badly
    background, background_calls, responses    answers that go on without a reader; continuing: behind a partial one
    book        which answers were begun, continued and attached to, and the tokens made for them
    ledger      who was paid how often, in memory (`GET /admin/stats`) and in a file
    anthropic_strict, anthropic_strict_messages    what the Messages API refuses

docs/simulator.md says how to use it.
"""

from ops.provider_sim.server import ProviderSim
from ops.provider_sim.settings import Hint, SimSettings

__all__ = ["Hint", "ProviderSim", "SimSettings"]
