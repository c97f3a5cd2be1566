"""The lab: a cluster that breaks under a fleet, and books that say whether the promise held.

    schedule    which faults, when: a value made from a seed, printed as one command, shrunk by `shrink`
    link        what a broken network does to bytes (pure); `proxy` does it to connections
    world       three brokers behind proxies, two providers, workers, control, and traffic; `faults` breaks them
    traffic_plan  the load. simulator: a provider in a process of its own
    audit       what the cluster knows at the end; figures: a run in numbers; session: several runs, shrunk where one fails
    book        what was asked, answered and paid, read from the topics and from the providers' own books
    checker     the promise as a pure function of the book; `recovery` says how long each fault was felt
    run         one schedule from start to end; `soak` the same for hours; `report` as JSON and HTML

docs/lab.md says how to run it and how to read a failure.
"""
