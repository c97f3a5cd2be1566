"""What the pipeline needs of a Kafka broker, one small check a need, each against the real thing with aiokafka.

`CHECKS` maps a name to an async check that takes the bootstrap servers and raises AssertionError, pytest's failure, or
whatever the broker made aiokafka raise, where the need is not met. `python -m tests.integration.probe HOST:PORT` prints
the table of docs/brokers.md.
"""

from collections.abc import Awaitable, Callable

from tests.integration.probe import groups, records, topics

CHECK_DEADLINE_S = 40.0

Check = Callable[[str], Awaitable[None]]
CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        records.several_partitions_keep_their_records,
        records.headers_come_back,
        records.a_tombstone_comes_back,
        records.two_megabytes_pass,
        records.a_fetch_waits_for_a_record,
        records.aborted_records_are_not_read,
        records.an_open_transaction_holds_back_what_follows,
        records.offsets_can_be_looked_up_by_time,
        topics.log_append_time_is_the_brokers,
        topics.a_message_over_the_topics_limit_is_refused,
        topics.topic_settings_are_told,
        topics.topic_settings_can_be_altered,
        topics.partitions_can_be_added,
        topics.a_topic_can_be_deleted_and_made_again,
        topics.an_unknown_topic_is_not_created_by_a_metadata_request,
        topics.a_compacted_topic_is_taken,
        groups.commit_metadata_comes_back,
        groups.metadata_over_4096_bytes_is_refused,
        groups.a_commit_of_a_member_that_was_replaced_is_refused,
        groups.a_second_member_shares_the_partitions,
        groups.partitions_of_a_dead_member_move_after_its_session,
        groups.users_data_of_an_assignor_reaches_the_leader,
        groups.group_lag_can_be_asked,
    )
}
