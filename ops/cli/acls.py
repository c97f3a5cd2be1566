"""`headrace acls`: the least ACLs of each role."""

from enum import StrEnum
from typing import Annotated

import typer

from ops.cli.console import fail, load, print_json, say, settings_option

_EXAMPLES = """
Examples:

  headrace acls                                                        of every role, as kafka-acls commands

  headrace acls --role worker --principal 'User:CN=worker,O=team' | sh

  headrace acls --format strimzi --cluster prod | kubectl apply -n kafka -f -

  headrace acls --role topics --alters                                 for the job that may change what is there
"""


class Format(StrEnum):
    """How they are printed."""

    COMMANDS = "commands"
    STRIMZI = "strimzi"
    JSON = "json"


class Authentication(StrEnum):
    """How a KafkaUser signs in."""

    SCRAM = "scram-sha-512"
    TLS = "tls"
    TLS_EXTERNAL = "tls-external"


app = typer.Typer(help="Print the least ACLs of each role of a fleet.", epilog=_EXAMPLES)


@app.callback(invoke_without_command=True)
def acls(
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help="worker, control, front, ui, up, topics, keys, producer or consumer. Repeatable. Default: all.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print them.")] = Format.COMMANDS,
    principal: Annotated[
        str | None, typer.Option(help="Of one role. Default: User:headrace-ROLE, behind topics.prefix.")
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="For commands. Default: kafka.bootstrap_servers.")
    ] = None,
    command_config: Annotated[
        str | None, typer.Option(metavar="FILE", help="Properties with which kafka-acls signs in.")
    ] = None,
    cluster: Annotated[str, typer.Option(metavar="NAME", help="The Kafka resource of KafkaUsers.")] = "kafka",
    authentication: Annotated[Authentication, typer.Option(help="How KafkaUsers sign in.")] = Authentication.SCRAM,
    alters: Annotated[
        bool, typer.Option("--alters", help="The role topics may also add partitions and change settings.")
    ] = False,
    settings: settings_option = None,
) -> None:
    """Print the least ACLs. Nothing is asked of a broker, nothing is changed."""
    from ops.acls import ROLES, acls_of, as_commands, as_json, as_strimzi

    chosen = list(dict.fromkeys(role)) if role else list(ROLES)
    if unknown := [each for each in chosen if each not in ROLES]:
        fail(f"no role {unknown[0][:80]!r}; the roles are {', '.join(ROLES)}")
    if principal is not None and len(chosen) != 1:
        fail("--principal is of one role: name it with --role")
    if principal is not None and ":" not in principal:
        fail("--principal has a type before its name, such as User:alice")
    loaded = load(settings)
    prefix = loaded.topics.prefix
    documents = []
    for name in ROLES:
        if name not in chosen:
            continue
        found = acls_of(name, loaded, alters=alters)
        who = principal or f"User:{prefix}headrace-{name}"
        if form is Format.JSON:
            documents.append(as_json(name, who, found))
        elif form is Format.STRIMZI:
            user = who.partition(":")[2].replace(".", "-").replace("_", "-").lower()
            say("---\n" + as_strimzi(user, found, cluster, authentication.value))
        else:
            say(f"# {ROLES[name].about}")
            for line in as_commands(who, found, bootstrap or loaded.kafka.bootstrap_servers, command_config):
                say(line)
    if form is Format.JSON:
        print_json({"roles": documents})
