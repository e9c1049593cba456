"""Whether a node of a cluster sees the files that the driver sees; asked when a worker is built, before it works.

Without it a node that lacks a shared folder would call every video missing, or commit to a folder that nobody reads.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from operators.commit import Store
from pipelines.errors import JobError
from pipelines.graph import Operator, Stage
from pipelines.runs import state_name


def for_cluster(stages: list[Stage], root: str, run_id: str, sources: tuple[str, ...]) -> list[Stage]:
    """The stages of a run on OUT (`root`), whose workers look first whether they see it, and the sources, as we do."""
    seen = tuple(source for source in sources if "://" not in source and Path(source).exists())
    return [replace(stage, build=_Checked(stage.build, root, run_id, seen)) for stage in stages]


@dataclass(frozen=True)
class _Checked:
    """Builds an operator, on a node that sees what the driver has seen."""

    build: Callable[[], Operator]
    root: str
    run_id: str
    seen: tuple[str, ...]

    def __call__(self) -> Operator:
        unseen = [] if Store(self.root).exists(state_name(self.run_id)) else [self.root]
        unseen += [source for source in self.seen if not Path(source).exists()]
        if unseen:
            raise JobError(
                f"{unseen[0]}: the node {socket.gethostname()} does not see there what the driver sees. A local folder "
                "is right only where all nodes share it, under one path; else give s3:// addresses."
            )
        return self.build()
