"""A worker's own part of the limits: shared (the budget that it reserves from), allowance (what it was granted), hold (one call),
telling (when it speaks), clock (the broker's time from here).
"""
