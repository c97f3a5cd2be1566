"""A worker's own part of the limits: what it was granted, and what it did with it.

Read shared_budget (what its calls reserve from), allowance (what it was granted), reservation (one call), demand_schedule (when
it asks for more), clock (the broker's time from here), too_small (whether what waits can live with a limit).
"""
