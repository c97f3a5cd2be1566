"""An LLM provider that costs nothing: an OpenAI-compatible HTTP server with a latency model and faults on demand.

In comes a chat completion or embeddings call, out goes an answer that is a function of its body, after a time that the
latency model or the request itself asks for. Faults come at random by share (`SimSettings`) or by name in one request
(its `headrace_sim` field, `Hint`). Every call is counted by the request's own id, in memory (`GET /admin/stats`) and,
if asked, in a ledger file, so that a test can tell exactly how often each request was paid for. See docs/simulator.md.
"""

from ops.provider_sim.server import ProviderSim
from ops.provider_sim.settings import Hint, SimSettings

__all__ = ["Hint", "ProviderSim", "SimSettings"]
