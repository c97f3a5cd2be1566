"""The wall around Kafka's client: what needs more of aiokafka than its public door stands here, behind small typed interfaces.

Nothing above it knows how they are kept. tests/contract/test_aiokafka.py holds the private names that are used here to the
installed version; `kafka.fetch = "plain"` is the way out where an upgrade breaks them.

Read in this order:
    records       what is fetched, and what a commit says
    fetched       fetched records, partition by partition: the interface. fetch and plain_fetch: its two implementations
    fetcher       what fetch stands on: when which broker is asked (fetch_session, pacing, idle_hold), and what came
                  (batch_reader; unpack: never to more than its bound; set_aside, tolerant: what cannot be read); checked_logs
                  and log_epochs: whether a log was cut
    membership    a consumer's place in its group; group_offsets: commits; returning: members that were all dropped at once
    cluster       leaders, partitions, produce requests (produce, joint_produce, record_batch)
    list_offsets  begins and ends of logs; log_reader: a consumer of no group; follow: a log followed from its start
    election      who of several is the one; assignor: which worker gets which partitions
    provision     topics made and compared (admin, allowed); rights: ACLs and quotas set
    connection_causes  why a broker cannot be reached
    reconnect     clients that find their cluster again (metadata, metadata_request, connection, tokens, backoff,
                  repeats); closing: how they end
    sealed        what is written to control topics is signed, what is read there is verified or left out
"""
