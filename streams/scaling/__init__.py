"""From windows to decisions to workers: how many workers there should be, why, and who makes it so.

In: fleet windows of `metrics.windows`, and the decisions so far, of `scaling.decisions`. Out: a decision for every window,
with all that it was made from; what came of it on `scaling.events`.

Promises: between min and max and never more than partitions; at most one step in a cooldown; missing data never shrinks the
fleet; a fleet that waits for its provider does not grow; of two deciders only the one whose record is first on the topic
counts, so that one that wakes up late changes nothing.

Read policy.py and signals.py (what is looked at), triggers.py, decide.py (the pure function), then log.py (which record is in
force), decider.py (the loop around it), and realizers/.
"""
