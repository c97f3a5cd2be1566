"""Answers that need no provider: two tiers, shared by the fleet, and identical calls made once.

In: requests from intake, and outcomes on their way to delivery. Out: hits to delivery at once, misses to flow.

Promises: a hit in memory costs no task and no wait; what one worker has paid for is a hit on all of them within a second, and
after a restart; a value that is torn, expired or somebody else's is never served; whatever happens to the one that makes a
call, everyone who waits for it ends exactly once.

Read in this order:
    key          what makes two requests the same; rules: what is kept, and for how long
    stage        hit, joined or miss; what is kept of an outcome. answers: a kept answer
    flights      single flight: leaders and joiners of identical calls (join, complete, promote)
    memory       the first tier: least recently used first out, by bytes
    entries      the second tier as the stage sees it: disk (the table) over rocks, layout, lock; store_dirs: which folder;
                 vault: encrypted for tenants with a key
    publisher    what this worker paid for, to `cache.entries`; reader: what all workers paid for, from it
    build        all of these from the settings; errors: what can be wrong with a store
"""
