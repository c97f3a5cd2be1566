"""What a worker counts, and its samples. A leaf: it knows no stage.

Read in this order:
    definitions   every metric's name, meaning and labels; each stage counts what it does with these; tenants: their labels
    answers       what every response is counted in; histogram: durations in buckets; fine_histogram: for Prometheus
    sampler       a sample every interval; samples: its pure part; system, cgroup: of the process and its control group
    publish       samples to `metrics.samples`; period, ticks: when
    names         the list for the documentation
"""
