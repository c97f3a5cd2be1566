"""Kafka in and out of Faust: record lists, flow of partitions, offset tracking, commits.

In: what the broker accepted on the request topics. Out: events, each with a few `RecordList`s (one a fetch and partition);
the pipeline finishes each of its records once, after the broker has acked the answer.

Promises: no offset is committed above an unfinished record; a finished record is not handed out again after a crash or a
move, as far as a commit came before; a partition over its quota is paused alone; a rebalance waits for no call.

Read in this order:
    offsets         what is finished; commit_metadata: how a commit says so
    flow            who is served, who is paused
    consumer        hands records out, commits, takes part in rebalances; committer: partition by partition
    rebalance       what an assignment keeps, drops and gains; corrupt: a batch that cannot be read
    faust_shape     what only Faust sees of it; driver: what Faust's app is given; options: in aiokafka's words

What is fetched, who owns what (assignor) and how the cluster is spoken to, stands in streams/kafka.
"""
