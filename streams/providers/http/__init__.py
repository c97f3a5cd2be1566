"""One endpoint over HTTP: client, over the transports of its provider (transports chooses between the two), with bodies that are
compressed on the way out (compress) and read inside their bounds on the way back (body, bandwidth, memory).
"""
