"""The index of the control room: one row a request, found by time, agent, status, class, model, id and reason.

Filled from the topics, in the order of each partition; the positions behind what was read are written with the rows, so that a
restart goes on where it was, and an index that was lost is made again of what the topics still hold. Read in this order:

    row, codes        one request as a row of bytes; statuses and reasons as numbers
    places            which topic, and whose, a place is of
    events, merge     what one record says of a request, and what that makes of its row; change: what a batch of them changes
    keys              the order of rows and of the keys that find them
    filters, cursor   what a page asks for, as its URL says it; budget: what it may cost
    queries           what pages ask; scan: newest first through several keys at a time, bounded
    tallies           counts that are kept while records come in; letters: dead letters by what they have in common
    store             RocksDB (rocks): batches in; what is dropped when there is too much. meta: what it writes of itself
    retention         how long a tenant's rows stay; forgetting: an agent's rows go when an action says so
    reader            the topics, without a group

All but store, queries and reader is pure.
"""
