"""`metrics.samples` in, `metrics.windows` out: samples of 10 s become windows of 1 min.

Read in this order:
    windows    pure: which window a sample is of, and when that is closed
    merge      pure: the samples of one window as one
    maker      a consumer of record lists around the two
    service    the control process' part: makes windows while it owns the partition, and says whether it does
    backlog    what the fleet leaves waiting in Kafka
"""
