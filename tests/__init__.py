"""Tests, from small to large; docs/testing.md says which run when, and the rules.

unit/           parts by themselves, a folder for each package of streams/, ops/ and the client
contract/       what others rely on: schemas, manifests, alerts, the inside of Kafka's client as streams/kafka uses it
integration/    real parts together: broker, workers, providers over HTTP, commands
chaos/          processes and brokers that are killed, stopped and starved
cluster/        three brokers under random faults, for as long as wanted
support/        what they share; conftest.py: the broker of a run, and names of a test's own
"""
