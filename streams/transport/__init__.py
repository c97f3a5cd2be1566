"""Kafka in and out of Faust: record lists, flow of partitions, offset tracking, commits.

In: what the broker accepted on the request topics. Out: events, each with a few `RecordList`s (one a fetch and partition);
the pipeline finishes each of its records once, after the broker has acked the answer.

Promises: no offset is committed above an unfinished record; a finished record is not handed out again after a crash or a
move, as far as a commit came before; a partition over its quota is paused alone; a rebalance waits for no call.

Read offsets.py (what is finished), commit_metadata.py (how a commit says so), flow.py (who is served), assignor.py (who
owns what), then fetcher.py (what is fetched, and when), fetch.py and consumer.py, which put them around aiokafka and Faust;
produce.py and farewell.py for what is written and how a client ends.
"""
