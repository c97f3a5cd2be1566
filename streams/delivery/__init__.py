"""Responses and dead letters out; then the offset is done.

In: requests with their outcome, and records that are no requests. Out: messages on the response topic, a reply topic or the
dead-letter topic, in batches.

Promises: a record is finished only when the broker has acked everything that is said of it; what the broker does not take
is sent again, loudly, and its partition brings no more meanwhile.

Deltas are said beside that, and promise nothing: deltas.py (whose), delta_beat.py and delta_groups.py (when they leave, and which
together), delta_batch.py, delta_lanes.py; delta_history.py reads what another worker told before, gathered.py makes the answer so
far of it.

Read outbox.py (who leaves when, and what is sent again), batch.py (what travels), receipts.py (what an ack finishes), then
delivery.py, with redacted.py for its dead letters; reply_topics.py says where an answer may go, reply_trouble.py what becomes of
one whose own topic takes nothing.
"""
