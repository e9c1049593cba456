"""A driver that has workers of other nodes ask for weights, all at once, and says what each got.

python -m tests.pipelines.staging_driver ADDRESS WEIGHTS WORKERS
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import ray

from models import catalogue
from pipelines import staging
from pipelines.errors import JobError


class Worker:
    """One worker of a node that may lack the weights."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment)

    def ask(self, parcel: staging.Parcel) -> dict[str, object]:
        """Where the weights are, or why not; and how often this worker was the one to bring them."""
        brought: list[str] = []
        bring = staging._bring
        staging._bring = lambda *given: (brought.append("once"), bring(*given))[1]
        try:
            path = staging.on_this_node(parcel)
        except JobError as error:
            return {"error": str(error)}
        finally:
            staging._bring = bring
        return {"path": str(path), "sha256": catalogue.sha256_of(path), "brought": len(brought)}


def main() -> None:
    address, weights, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    ray.init(address=address, log_to_driver=False)
    # All nodes see the same disk here. A relative path is a file of the head's folder on the head, and none elsewhere.
    parcel = replace(staging.pack(weights), source=Path(weights.name))
    environment = staging.driver_environment()
    actors = [ray.remote(num_cpus=0.1)(Worker).remote(environment) for _ in range(workers)]
    print(json.dumps(ray.get([actor.ask.remote(parcel) for actor in actors])))


if __name__ == "__main__":
    # By the module's own name, so that workers can import what they are sent.
    from tests.pipelines import staging_driver

    staging_driver.main()
