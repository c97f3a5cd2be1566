"""The wall around Kafka's client: what needs more of aiokafka than its public door stands here, behind small typed interfaces."""
