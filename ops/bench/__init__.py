"""Benchmarks: the product beside what a good engineer would write by hand, on this machine, in one run.

    work.py       the work that everybody does for a record, and the requests it is done for
    ground.py     what a benchmark stands on: a broker, topics, an upstream, a settings file
    fill.py       requests into the request topics, fast
    upstream.py   a provider that answers after exactly 20 ms and costs next to nothing
    token_upstream.py, http_load.py    a provider that streams at a steady pace, and HTTP clients of the front
    run.py        a process that does its work, says its figures and ends
    venvs.py      the peers' own virtual environments
    peers/        one script a peer, and the worker under the same stop watch
    pipeline.py, latency.py, provider.py, front.py, memory.py, scale.py    one file a benchmark

Only local brokers that were started for it are used: benchmarks delete topics. What was measured, and how to read it:
docs/performance.md.
"""
