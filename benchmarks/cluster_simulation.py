"""A run on 1 to 1,000 machines that aren't there: throughput, tail, what failures cost, the driver's load.

    python -m benchmarks.cluster_simulation [--nodes 1 --nodes 10 ...] [--hours 1000000] [--segments OUT] [--plot FILE]

A simulation of discrete events. The driver hands shards out, one after the other; a machine passes them through its
pools (decode with faces, transcribe, infer, write), which share its cores evenly, as processes do; a stage begins
nothing while too many shards wait behind it. Machines join late, are slow, are lost and replaced; a shard that was in
the hands of a lost one begins anew elsewhere. Nothing here was measured but the costs of the stages (`--segments` reads
them from an output of your own) and the driver's memory; everything else is an assumption. What is left out: see
`benchmarks.simulated_cluster`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import duckdb
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.simulated_cluster import Cluster, Costs, Simulation, Work
from operators.settings import WindowSettings
from pipelines.plan import Lengths

ANCHOR_MS = WindowSettings().anchor_ms


def measured_costs(out: Path) -> Costs:
    """The costs of the stages by the ledger of a run: best of one with `--engine local --workers 1`, undisturbed."""
    query = (
        "SELECT sum(decode_s) + sum(faces_s), sum(transcribe_s), sum(infer_s), sum(end_ms - start_ms) / 1000"
        " FROM read_parquet(?) WHERE infer_s IS NOT NULL"
    )
    row = duckdb.connect().execute(query, [f"{out}/segments/**/*.parquet"]).fetchone()
    if not row or not row[3]:
        raise SystemExit(f"{out}: no labelled segment is there to learn costs from.")
    decode, transcribe, infer, media_s = row
    return replace(Costs(), decode=decode / media_s, transcribe=transcribe / media_s, infer=infer / media_s)


CALM: dict[str, float] = {}
ROUGH: dict[str, float] = {"losses_per_hour": 0.05, "late": 0.1, "slow": 0.02}
UNEVEN = {"spread": 0.3, "heavy": 0.01}


def scenarios(
    nodes: list[int], hours: float, shard_minutes: float | None, cores: int
) -> Iterator[tuple[str, Cluster, Work]]:
    """Each size of cluster, calm and with all that goes wrong."""
    for count in nodes:
        shards_s = planned_s(hours, count * cores, shard_minutes)
        yield "calm", Cluster(count, cores), Work(len(shards_s), shards_s)
        yield "rough", Cluster(count, cores, **ROUGH), Work(len(shards_s), shards_s, **UNEVEN)


def planned_s(hours: float, workers: int, shard_minutes: float | None) -> np.ndarray:
    """Seconds of video of each shard, of one endless video: as the planner makes them where nothing is set."""
    lengths = Lengths(workers, ANCHOR_MS, set_shard_ms=None if shard_minutes is None else round(shard_minutes * 60_000))
    left_ms, shards = round(hours * 3_600_000), []
    while left_ms > 0:
        shards.append(min(left_ms, lengths.shard_ms(left_ms)))
        left_ms -= shards[-1]
    return np.array(shards) / 1000


def show(results: list[dict[str, Any]]) -> None:
    """Print the outcomes, one a line."""
    columns = {
        "nodes": "{nodes:,}",
        "case": "{case}",
        "days": "{days:,.1f}",
        "video hours an hour": "{speed:,.0f}",
        "of the ideal": "{efficiency:.1%}",
        "tail, h": "{tail_hours:.2f}",
        "losses": "{losses:,}",
        "work repeated": "{repeated:.2%}",
        "core-hours": "{core_hours:,.0f}",
        "driver busy": "{driver_busy:.1%}",
    }
    table = Table(*columns, box=None, title="Simulated, not measured")
    for item in results:
        table.add_row(*(text.format(**item, days=item["hours"] / 24) for text in columns.values()))
    Console(stderr=True).print(table)


def plot(results: list[dict[str, Any]], file: Path) -> None:
    """Speed and tail by the number of machines."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, (speed, tail) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for case in dict.fromkeys(item["case"] for item in results):
        ours = [item for item in results if item["case"] == case]
        nodes = [item["nodes"] for item in ours]
        speed.plot(nodes, [item["speed"] for item in ours], marker="o", label=case)
        tail.plot(nodes, [item["tail_hours"] for item in ours], marker="o", label=case)
    ideal = {item["nodes"]: item["hours_of_video"] / item["hours_ideal"] for item in results if item["case"] == "calm"}
    speed.plot(list(ideal), list(ideal.values()), linestyle=":", color="grey", label="all cores always busy")
    for axes, title in ((speed, "Hours of video in an hour (simulated)"), (tail, "Hours from 99% to all (simulated)")):
        axes.set(xscale="log", yscale="log", xlabel="machines", title=title)
        axes.legend()
    figure.savefig(file)


def main(
    nodes: Annotated[list[int] | None, typer.Option(help="Repeat it; by default 1, 10, 100, 1,000.")] = None,
    hours: Annotated[float, typer.Option(help="Of video.")] = 1_000_000,
    shard_minutes: Annotated[
        float | None, typer.Option(help="Of video, a shard; by default as `fv2es plan` makes them.")
    ] = None,
    cores: Annotated[int, typer.Option(help="A machine.")] = 8,
    segments: Annotated[Path | None, typer.Option(help="An output whose ledger gives the stages' costs.")] = None,
    plot_to: Annotated[Path | None, typer.Option("--plot", help="Draw into this file.")] = None,
    seed: int = 1,
) -> None:
    """Simulate runs, and print a table on stderr and one JSON object on stdout."""
    costs = measured_costs(segments) if segments else Costs()
    results = []
    err = Console(stderr=True)
    for case, cluster, work in scenarios(nodes or [1, 10, 100, 1_000], hours, shard_minutes, cores):
        with err.status(f"{cluster.nodes:,} machines, {case}: {work.shards:,} shards ..."):
            results.append({"case": case} | asdict(Simulation(cluster, work, costs, seed).run()))
    show(results)
    if plot_to:
        plot(results, plot_to)
    json.dump({"costs": asdict(costs), "rough": ROUGH | UNEVEN, "outcomes": results}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    typer.run(main)
