"""Where `fv2es` begins: a command that will label begins to import libraries while all else is imported."""

import sys

from pipelines import nursery

EARLY = "label"
"""Of what labels, the command that somebody waits for."""


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == [EARLY] and "--help" not in sys.argv:
        nursery.begin_early()
    from pipelines.cli.app import main as run

    run()
