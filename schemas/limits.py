"""Size limits of the contract, each with its reason. Sizes are bytes unless the name says otherwise."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# A request record, compressed or not, as the broker counts it (`max.message.bytes`). Kafka's own default, so that any
# client can send the largest request without settings of its own.
REQUEST_RECORD_BYTES: Final = 1 * MIB

# The decoded value of a request. The broker counts a batch as it is compressed: one MiB of gzip can hold a GiB of JSON,
# which must neither be parsed nor be copied into a dead letter that could not be written.
REQUEST_VALUE_BYTES: Final = 1 * MIB

# Responses, dead letters and cache entries: twice a request, so that a dead letter (the original record and its
# headers) and a long answer always fit.
ANSWER_RECORD_BYTES: Final = 2 * MIB

# What an answer may use of its record: key, headers, batch header and the response's own fields take the rest.
ANSWER_PAYLOAD_BYTES: Final = ANSWER_RECORD_BYTES - 64 * KIB

# Everything else is metrics and decisions; Kafka's default.
CONTROL_RECORD_BYTES: Final = 1 * MIB

# A cancel has a few names and a reason of a KB; a record that is larger is none.
CANCEL_RECORD_BYTES: Final = 16 * KIB

# request_id, agent_id, conversation_id: room for two UUIDs, a URN or a trace id, small enough to be a Kafka key, a
# header and a line in a log.
ID_CHARS: Final = 256

# A model name: the longest in use (cloud ARNs, fine-tune names) stay below 256.
MODEL_CHARS: Final = 256

# An error message in a response or a dead letter, in bytes of UTF-8: one screen; what a provider says beyond it helps
# nobody and may quote the prompt.
ERROR_MESSAGE_BYTES: Final = 1 * KIB

# Arrays and objects inside each other, the value itself included. It is the parser's own limit (pydantic-core's);
# naming it makes it part of the contract, and a test holds the parser to it.
NESTING_LEVELS: Final = 200

# Integers beyond 64 bits come out of most JSON parsers as something else; they are refused, not bent.
INTEGER_BITS: Final = 64

# The longest total time a request may ask for: request topics keep a record for a day.
TIMEOUT_S: Final = 86_400.0

# The longest life of a cached answer: `cache.entries` keeps an entry for a day.
CACHE_TTL_S: Final = 86_400.0

# An action of an operator, or what came of one: at most the chosen dead letters (26 bytes each) and an offset a partition.
ADMIN_RECORD_BYTES: Final = 256 * KIB
REDRIVE_POSITIONS: Final = 1_000
MOST_PARTITIONS: Final = 2_000
ENDPOINT_CHARS: Final = 2_048

# A topic name, as Kafka allows it.
TOPIC_NAME_CHARS: Final = 249

# A key of the front door: a name that is a label and a file's name anywhere; models that one team uses; and a rate above
# which a limit limits nothing.
FRONT_KEY_NAME_CHARS: Final = 64
FRONT_KEY_MODELS: Final = 64
FRONT_KEY_RATE: Final = 1_000_000
