"""What commands look at and change, from outside the workers: one file a command, free of terminals.

    records.py                            reading topics without a consumer group. Read it first: most others stand on it
    tail.py, metric_lines.py              following a topic, each record as a line
    send.py, replay.py                    requests from a person, a script or a trace
    dead_letters.py                       found, shown, sent back
    cache.py                              the answer cache: looked into, cleared
    agents.py, providers.py, scrape.py    what running workers say over HTTP
    scaling_recent.py, scaling_explain.py    the last decisions, in sentences

How it looks is for ops/cli. Nothing here joins the workers' group or commits for it.
"""
