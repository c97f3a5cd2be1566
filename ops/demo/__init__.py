"""The whole product on one machine: a broker, a simulated provider, workers, and a real trace of requests through them.

Everything it starts ends with it. On a broker of yours it makes the topics, runs in a consumer group of its own from the
end of the topics on, and refuses to start beside a fleet, which would answer the same requests.

Read run, then surroundings (what it runs on) and verdict (what it showed); command_name: how the shell calls the command.
"""

from ops.demo.run import DemoOptions, run_demo
from ops.demo.surroundings import DemoError

__all__ = ["DemoError", "DemoOptions", "run_demo"]
