"""An LLM provider that costs nothing: an HTTP server in the OpenAI and Anthropic formats, with limits, latency and faults.

In comes a chat completion, message or embeddings call, out goes an answer that is a function of its body, whole or as a
stream, after a time that the latency model or the request itself asks for. Limits are real: what does not fit is refused
with 429 (`limits`). Faults come at random by share or to all (`SimSettings`), or by name in one request (its `headrace_sim`
field, `Hint`). Every call is counted by the request's own id, in memory (`GET /admin/stats`) and, if asked, in a ledger
file, so that a test can tell exactly how often each request was paid for. See docs/simulator.md.
"""

from ops.provider_sim.server import ProviderSim
from ops.provider_sim.settings import Hint, SimSettings

__all__ = ["Hint", "ProviderSim", "SimSettings"]
