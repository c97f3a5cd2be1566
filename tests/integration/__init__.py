"""Real parts together. A file begins with what it is of:

test_provider_*, test_answers_*, test_aiohttp_*     calls over real HTTP, on provider_rig, fault_rig and provider_load
test_fetch*, test_outbox, test_brokers (probe/)     Kafka's protocol with a real broker
test_pipeline_*, test_worker_*, test_health         a worker as a process
test_cache_*, test_leases (lease_fleet)             what workers share
test_decider, test_actuator, test_kubernetes_*      scaling (kubernetes_api: a server of its API's shapes)
test_*_cli, test_cli_*, test_demo, test_simulate    commands as a user calls them
test_client*, test_front, test_examples             who sends requests
test_broken_processes (broken_process)              processes that break on purpose
"""
