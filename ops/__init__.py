"""Running it: everything that has a terminal, a process or a file system around the pipeline of streams/.

    cli/            the commands, one module each. Begin with its __init__, then the command that you want
    admin/          what the commands look at and change on a running fleet
    ui/, top/       the control room: pages in a browser, and two of them in a terminal
    processes/      worker, control and `headrace up` as processes: signals, health, logs, children
    brokers/        local Kafka brokers
    provider_sim/   an LLM provider without a key or a bill
    load/, data/    traces, and requests made from them
    demo/, dev/     the whole product on one machine: a minute with a verdict, or until Ctrl-C
    lab/            a cluster that breaks under a fleet, and whether the promise held: `headrace soak`
    acls/           the least rights of each role on a cluster
    simulation/     flow and scaling on a virtual clock
    bench/          the product beside its peers
    grafana/, prometheus/, helm/, docker/, site/    dashboards, alerts, the chart, the image's settings, the docs site

bench/ and the last line are of the checkout alone: they do not travel in the wheel. ops imports streams, topics and schemas;
none of them imports ops.
"""
