"""Running it: everything that has a terminal, a process or a file system around the pipeline of streams/.

    cli/            the commands, one module each. Begin with its __init__, then the command that you want
    admin/          what the commands look at and change on a running fleet
    processes/      worker, control and `headrace up` as processes: signals, health, logs, children
    brokers/        local Kafka brokers
    provider_sim/   an LLM provider without a key or a bill
    load/, data/    traces, and requests made from them
    demo/           the whole product on one machine
    lab/            a cluster that breaks under a fleet, and whether the promise held: `headrace soak`
    simulation/     flow and scaling on a virtual clock
    bench/          the product beside its peers
    grafana/, prometheus/, kubernetes/    dashboards, alerts and manifests

bench/ and the last line are of the checkout alone: they do not travel in the wheel. ops imports streams, topics and schemas;
none of them imports ops.
"""
