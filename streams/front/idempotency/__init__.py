"""`Idempotency-Key`: the same key and the same body give the same answer for a day, on any front.

claims      which request holds a key, by the order of the log. Pure
claim_log   the topic of claims: followed into memory, and written
"""
