"""`metrics.samples` in, `metrics.windows` out: samples of 10 s become windows of 1 min.

windows says which window a sample is of and when that is closed, merge adds up its samples; maker does it as a consumer,
service runs that in the control process while it owns the partition, with the backlog that the fleet leaves in Kafka.
"""
