"""Benchmarks: the product beside what a good engineer would write by hand, on this machine, in one run.

    work.py       the work that everybody does for a record, and the requests it is done for
    ground.py     what a benchmark stands on: a broker, topics, an upstream, a settings file
    fill.py       requests into the request topics, fast
    upstream.py   a provider that answers after exactly 20 ms and costs next to nothing
    token_upstream.py, http_load.py    a provider that streams at a steady pace, and HTTP clients of the front (http_calls.py)
    calls.py      calls to an upstream; litellm.py: another proxy before one; certificate.py: for TLS
    open_loop.py  a load by rate, and the reader of its answers
    run.py        a process that does its work, says its figures and ends
    meter.py      the stop watch in a process that is measured
    venvs.py      the peers' own virtual environments; go_programs.py: peers in Go
    peers/        one script a peer, and the worker under the same stop watch
    pipeline.py, latency.py, provider.py (provider_client.py), front.py (front_held.py), memory.py, scale.py,
    index.py (index_records.py, index_pages.py)    one file a benchmark
    figures.py, chart.py, machine.py    what came out, and on what machine

Only local brokers that were started for it are used: benchmarks delete topics. What was measured, and how to read it:
docs/performance.md.
"""
