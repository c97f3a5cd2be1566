"""`python -m ops.cli`: the `headrace` command of this interpreter, wherever its console script may be."""

from ops.cli import main

main()
