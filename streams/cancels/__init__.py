"""Cancels: requests that somebody does not want any more.

In: records of `agent.cancels`, which every worker reads for itself, and the requests from intake. Out: requests that nobody has
cancelled; the others end as `cancelled`, wherever they are, with a call that is closed or without one.

Read in this order:
    book     which requests are cancelled, also those that have not come yet. Pure
    gate     the stage between intake and the cache; what a cancel ends
    reader   the topic
"""
