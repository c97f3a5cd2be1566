"""Keys of the front: who may ask, and for what.

In: the records of `agent.keys`, and the credentials of HTTP requests. Out: the key that a request was made with, or a refusal.
Nothing here holds a secret: a credential is hashed and looked up, which takes the same time whatever it is.

    secret   what a key looks like, and its hash. Pure
    ring     all keys, from their records. Pure
    rules    what a key may ask for. Pure
    rate     how many requests a minute. Pure
    reader   the records, from the topic
"""
