"""One script a peer: the same work for every record, by other means.

Each is run as `python -m ops.bench.peers.NAME SERVERS GROUP RECORDS`, answers the first RECORDS records of the request topics
and says its figures. They are written as their users would write them, with batch sizes and lingers that make them fast.
"""
