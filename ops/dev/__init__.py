"""`headrace dev`: broker, topics, simulator, fleet, front and control room on this machine, until Ctrl-C.

run     from start to end
words   what is printed once it answers
"""

from ops.dev.run import DevOptions, run_dev

__all__ = ["DevOptions", "run_dev"]
