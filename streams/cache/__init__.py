"""Answers that need no provider: two tiers, shared by the fleet, and identical calls made once.

In: requests from intake, and outcomes on their way to delivery. Out: hits to delivery at once, misses to flow.

Promises: a hit in memory costs no task and no wait; what one worker has paid for is a hit on all of them within a second, and
after a restart; a value that is torn, expired or somebody else's is never served; whatever happens to the one that makes a
call, everyone who waits for it ends exactly once.

Read key.py (what is the same), stage.py (who gets what), flights.py (joining), memory.py, then disk.py, reader.py and
publisher.py (the tier that is shared), and build.py, which puts them together.
"""
