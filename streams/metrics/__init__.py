"""What a worker counts, and its samples. Each stage counts what it does, with the names in definitions.

A leaf: it knows no stage. sampler makes a sample every interval (samples, system, cgroup; histogram for durations), publish puts
it on `metrics.samples`; period and ticks say when. Windows are made of samples in streams/windows.
"""
