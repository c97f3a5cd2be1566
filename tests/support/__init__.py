"""What tests of several folders share.

pipeline        a broker with fresh topics, a simulator, settings and workers: what most tests with a broker stand on. Read it
                first; fixtures: the same as fixtures, scaling: what tests of scaling add
broker          which broker a run has (docker_broker; guarded_broker: with passwords and certificates; acls)
positions       what the broker knows of a group, and whether a commit promised too much
requests        records and requests as stages see them
simulator       the provider simulator as a process; scripted_upstream: a server that answers byte for byte as told
stopwatch       seconds in which the machine ran; again: what failed while it did not; stalls: stops on purpose; logs: their lines
cli, processes  commands and processes that end with their test; asking: the Python client in a test
lanes, lane_scheduling    which files run beside each other; compiled: what all of them need is compiled once, before
"""
