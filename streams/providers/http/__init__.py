"""One endpoint over HTTP: client, over the transports of its provider (transports chooses between the two:
aiohttp_transport, and sharded_transport over httpx2), with bodies that are
compressed on the way out (compress) and read inside their bounds on the way back (body, bandwidth, memory).

Of streams: tap (chunks as they come), silence (how long one may say nothing), resume (how an attempt goes on with what an earlier
one began), reattach (an answer that goes on without a reader, fetched).
"""
