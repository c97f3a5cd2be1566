"""The `headrace` command as a whole: help, lazy imports, one-line failures, exit codes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ops.cli import COMMANDS, app
from ops.cli.lazy import Entry, LazyGroup
from tests.support.forked import Ended, start

Run = Callable[..., Ended]
HEADRACE = [sys.executable, "-c", "from ops.cli import main; main()"]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ended]:
    """Runs a command in a folder of its own; how it is started from nothing is what the tests of imports see."""

    def called(*arguments: str, **environ: str) -> Ended:
        return start(arguments, tmp_path / "folder", {"COLUMNS": "120"} | environ).end(60)

    return called


def modules_after(*arguments: str) -> set[str]:
    """The modules that a run of the command has imported when it ends."""
    code = (
        "import atexit, json, sys; from ops.cli import main; "
        "atexit.register(lambda: print('\\n' + json.dumps(sorted(sys.modules)))); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_lists_every_command_with_its_line_and_examples(run: Run) -> None:
    output = run("--help").out
    assert "Examples" in output
    for name, entry in COMMANDS.items():
        assert name in output
        assert entry.help in output


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["no-such-command"]])
def test_what_runs_no_command_imports_none(arguments: list[str]) -> None:
    imported = modules_after(*arguments)
    assert not {entry.module for entry in COMMANDS.values()} & imported
    heavy = {"aiokafka", "faust", "structlog", "streams", "topics", "schemas"}
    assert heavy & imported == set()


def test_a_command_imports_no_other_command() -> None:
    imported = modules_after("config", "--help")
    assert {entry.module for entry in COMMANDS.values()} & imported == {"ops.cli.config"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_there_has_an_app_and_help(run: Run, name: str) -> None:
    if find_spec(COMMANDS[name].module) is None:
        pytest.skip("this command is not written yet")
    done = run(name, "--help")
    assert done.code == 0, done.err
    assert f"headrace {name}" in done.out
    assert "--install-completion" not in done.out


def test_the_version_is_the_distribution_s(run: Run) -> None:
    assert run("--version").out == f"headrace {version('headrace')}\n"


def test_an_unknown_command_says_which_one_was_meant(run: Run) -> None:
    done = run("confg")
    assert done.code == 2
    assert "Did you mean 'config'?" in done.err


def test_a_settings_fault_in_any_command_is_one_line_and_exit_2(run: Run, tmp_path: Path) -> None:
    done = run("config", "show", "--settings", str(tmp_path / "none.toml"))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"headrace: {tmp_path}/none.toml: cannot be read: No such file or directory\n"


def test_a_reader_that_leaves_early_causes_no_traceback() -> None:
    with subprocess.Popen(
        [*HEADRACE, "config", "reference"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_ctrl_c_ends_a_command_with_130_and_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(
        "import signal, typer\napp = typer.Typer()\n@app.command()\n"
        "def waits() -> None:\n    print('waiting', flush=True)\n    signal.pause()\n"
    )
    code = (
        # What a shell starts in the background is born deaf to Ctrl-C, and so are its children.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import ops.cli as cli; from ops.cli.lazy import Entry; "
        "cli.Commands.entries = {'waits': Entry('waits', '', 'Run')}; cli.main()"
    )
    environ = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", code, "waits"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Read until the command runs: it is in its own code then.
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b""


def test_a_module_with_one_command_stands_alone_and_one_with_several_is_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_single.py").write_text(
        "import typer\napp = typer.Typer()\n@app.command()\ndef run(settings: str = '') -> None:\n    print(settings)\n"
    )
    (tmp_path / "lazy_group.py").write_text(
        "import typer\napp = typer.Typer()\n"
        "@app.command()\ndef one() -> None:\n    print(1)\n@app.command()\ndef two() -> None:\n    print(2)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    class Commands(LazyGroup):
        entries = {"single": Entry("lazy_single", "", "Run"), "group": Entry("lazy_group", "", "Run")}  # noqa: RUF012

    program = typer.Typer(cls=Commands)
    program.callback()(lambda: None)
    runner = CliRunner()
    assert runner.invoke(program, ["single", "--settings", "here"]).stdout == "here\n"
    assert runner.invoke(program, ["group", "two"]).stdout == "2\n"


def test_without_arguments_help_is_shown() -> None:
    assert "Usage" in CliRunner().invoke(app, []).output


def test_an_error_of_ours_ends_any_command_with_its_line_and_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(
        "import typer\nfrom streams.errors import HeadraceError\napp = typer.Typer()\n"
        "class OurError(HeadraceError):\n    '''.'''\n    exit_code = 1\n"
        "@app.command()\ndef fails() -> None:\n    raise OurError('two\\nlines')\n"
    )
    code = (
        "import ops.cli as cli; from ops.cli.lazy import Entry; "
        "cli.Commands.entries = {'fails': Entry('fails', '', 'Run')}; cli.main()"
    )
    environ = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code, "fails"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "headrace: two lines\n")


@pytest.mark.parametrize("name", ["worker", "control", "front", "up"])
def test_a_process_without_its_secret_ends_with_one_line_and_2(run: Run, name: str, tmp_path: Path) -> None:
    settings = tmp_path / "headrace.toml"
    settings.write_text(
        '[http]\nlisten = "0.0.0.0:0"\ntoken_env = "NOT_SET"\n'
        '[[providers]]\nname = "main"\nendpoints = [{ url = "http://127.0.0.1:1/v1", api_key_env = "NOT_SET" }]\n'
    )
    done = run(name, "--settings", str(settings))
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1), done.err


@pytest.mark.parametrize("name", ["control", "front", "ui"])
def test_providers_keys_are_for_workers_alone(run: Run, name: str, tmp_path: Path) -> None:
    settings = tmp_path / "headrace.toml"
    settings.write_text(
        '[kafka]\nbootstrap_servers = "127.0.0.1:1"\n'
        '[[providers]]\nname = "main"\nendpoints = [{ url = "http://127.0.0.1:1/v1", api_key_env = "NOT_SET" }]\n'
    )
    done = run(name, "--settings", str(settings))
    assert done.code == 2
    assert "127.0.0.1:1" in done.err
    assert "NOT_SET" not in done.err
