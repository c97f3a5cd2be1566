"""What others rely on: messages and topics (test_messages over samples/, test_asyncapi), manifests and compose files, rules and
dashboards (promql reads their queries), the project's own files; and what we rely on: test_aiokafka and test_wall.
"""
