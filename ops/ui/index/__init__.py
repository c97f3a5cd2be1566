"""The index of the control room: one row a request, found by time, agent, status, class, model, id and reason.

Filled from the topics, in the order of each partition; the positions behind what was read are written with the rows, so that a
restart goes on where it was, and an index that was lost is made again of what the topics still hold. Read in this order:

    row, codes        one request as a row of bytes; statuses and reasons as numbers
    events, merge     what one record says of a request, and what that makes of its row
    keys              the order of rows and of the keys that find them
    filters, cursor   what a page asks for, as its URL says it
    scan              newest first through several keys at a time, bounded
    store, shelf      RocksDB: batches in, pages out; what is dropped when there is too much
    reader            the topics, without a group

All but store and reader is pure.
"""
