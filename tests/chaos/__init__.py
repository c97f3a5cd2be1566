"""Processes and brokers that are killed, stopped and starved: each test holds a sentence of docs/guarantee.md.

test_kill, test_takeover, test_drain, test_pauses, test_groups, test_commits    workers die, stand still, leave
test_broker_faults, test_changing_cluster, test_sessions                        brokers do
test_malformed (hostile), test_bombs (bombs), test_reply_topics                 what strangers write
test_memory, test_cache*, test_limits*, test_clocks, test_flow                  what must hold under load
test_control, test_scaling, test_up, test_windows                               those who watch over a fleet
"""
