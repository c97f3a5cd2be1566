"""`Idempotency-Key`: the same key and the same body give the same answer for a day, on any front.

claims      which request holds a key, by the order of the log. Pure
claim_log   the topic of claims: followed into memory, and written
unpublished a claim whose front died before its record was on the log: published by who waits for it
keyed       what becomes of a request with a key: asked now, answered before, or under way here
"""
