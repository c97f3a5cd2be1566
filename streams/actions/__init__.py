"""Actions: what operators ask of the whole fleet, carried out by every process that it concerns.

In: records of `agent.admin`, which workers and control read for themselves from its beginning. Out: classes that are not
dispatched, endpoints that get no calls, dead letters that are sent again, and what came of each on the same topic, which is the
audit log.

Read in this order:
    wire       the one door to write and to read a record of the topic. Pure
    orders     which classes are paused and which endpoints drained. Pure
    reader     the topic
    carrier    a worker carries orders out
    outcomes   what came of it, written
    letters    which dead letters are meant, and what is sent again of one. Pure
    redrives   the redrives, and how far they are. Pure
    redriver   control carries them out, in transactions
    audit      actions with what came of them, for people. Pure
"""
