"""From windows to decisions to workers: how many workers there should be, why, and who makes it so.

In: fleet windows of `metrics.windows`, and the decisions so far, of `scaling.decisions`. Out: a decision for every window,
with all that it was made from; what came of it on `scaling.events`.

Promises: between min and max and never more than partitions; at most one step in a cooldown; missing data never shrinks the
fleet; a fleet that waits for its provider does not grow; of two deciders only the one whose record is first on the topic
counts, so that one that wakes up late changes nothing.

Read in this order:
    policy       every threshold; signals: a window, reduced to what is looked at
    triggers     what fires, and what calms; decide: the pure decision, also that more workers brought nothing
    decider      the loop around it: the control process that owns `metrics.samples`-0 decides (streams/windows/service.py)
    log          which record is in force, whoever wrote it; record: a decision as a record; tail: reading both topics
    actuator     carries the decision in force out, by a realizer of realizers/
"""
