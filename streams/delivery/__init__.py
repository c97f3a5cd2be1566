"""Responses and dead letters out; then the offset is done.

In: requests with their outcome, and records that are no requests. Out: messages on the response topic, a reply topic or the
dead-letter topic, in batches.

Promises: a record is finished only when the broker has acked everything that is said of it; what the broker does not take
is sent again, loudly, and its partition brings no more meanwhile.

Deltas are said beside that, and promise nothing: deltas.py (whose, and when they leave), delta_batch.py, delta_lanes.py.

Read outbox.py (who leaves when, and what is sent again), batch.py (what travels), then delivery.py.
"""
