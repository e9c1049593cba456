"""What the ledger and the runs tell: files, failures, hours, speed."""

import posixpath

from operators.schema import FAILED
from pipelines import runs
from pipelines.report.facts import Failure, Run, Stage, Status, Totals
from pipelines.tables import Tables

MAX_FAILURES = 50
"""Reasons shown one by one, the commonest first."""
MAX_RUNS = 30
EXAMPLES = 3
STAGES = ("decode", "faces", "transcribe", "infer")

_TOTALS = """
SELECT count(*) AS files, count(*) FILTER (failed) AS files_failed, coalesce(sum(ms), 0)::BIGINT AS media_ms,
       coalesce(sum(speech_ms), 0)::BIGINT AS speech_ms
FROM (SELECT bool_or(status IN (SELECT status FROM stored.failed_statuses)) AS failed, max(duration_ms) AS ms,
             sum(speech_ms) AS speech_ms FROM segments GROUP BY video_id)
"""
_STATUSES = """
SELECT status, count(DISTINCT video_id) AS files, count(*) AS segments, sum(end_ms - start_ms)::BIGINT AS ms
FROM segments GROUP BY status ORDER BY segments DESC, status
"""
_FAILURES = f"""
SELECT status, reason, bool_or(retryable) AS retryable, count(DISTINCT video_id) AS files, count(*) AS segments,
       list_sort(list_distinct(min(uri, {4 * EXAMPLES})))[:{EXAMPLES}] AS examples
FROM segments WHERE status IN (SELECT status FROM stored.failed_statuses)
GROUP BY status, reason ORDER BY files DESC, segments DESC, status, reason
"""  # noqa: S608 - our own words
_STAGES = " UNION ALL ".join(
    f"""SELECT '{name}' AS stage, coalesce(sum((x * 1000)::BIGINT), 0)::BIGINT AS ms,
               coalesce(sum(length_ms), 0)::BIGINT AS media_ms,
               quantile_cont(60000 * x / length_ms, .5) AS median_s, quantile_cont(60000 * x / length_ms, .95) AS p95_s
        FROM (SELECT {name}_s AS x, end_ms - start_ms AS length_ms FROM segments
              WHERE end_ms > start_ms AND {name}_s IS NOT NULL
                    AND status NOT IN (SELECT status FROM stored.failed_statuses))"""  # noqa: S608
    for name in STAGES
)


def totals(tables: Tables, labelled_s: float, utterances: int) -> Totals:
    """The corpus as a whole."""
    (row,) = tables.arrow(_TOTALS).to_pylist()
    seconds = {"media_s": row["media_ms"] / 1000, "speech_s": row["speech_ms"] / 1000}
    return Totals(row["files"], row["files_failed"], **seconds, labelled_s=labelled_s, utterances=utterances)


def statuses(tables: Tables) -> tuple[Status, ...]:
    """How segments ended, the commonest first."""
    return tuple(
        Status(row["status"], row["status"] in FAILED, row["files"], row["segments"], row["ms"] / 1000)
        for row in tables.arrow(_STATUSES).to_pylist()
    )


def failures(tables: Tables) -> tuple[tuple[Failure, ...], int]:
    """Why parts of the corpus could not be labelled; and how many more reasons there are."""
    rows = tables.arrow(_FAILURES).to_pylist()
    shown = rows[:MAX_FAILURES]
    return tuple(Failure(**row | {"examples": tuple(row["examples"])}) for row in shown), len(rows) - len(shown)


def stages(tables: Tables) -> tuple[Stage, ...]:
    """What each stage took; nothing where nothing was labelled."""
    rows = tables.arrow(_STAGES).to_pylist()
    all_ms = sum(row["ms"] for row in rows)
    return tuple(
        Stage(
            stage=row["stage"],
            seconds=row["ms"] / 1000,
            share=row["ms"] / all_ms,
            per_minute_s=60 * row["ms"] / row["media_ms"],
            median_s=row["median_s"],
            p95_s=row["p95_s"],
        )
        for row in rows
        if all_ms and row["media_ms"]
    )


def runs_of(tables: Tables) -> tuple[tuple[Run, ...], int]:
    """The latest runs of this recipe in order of time, and how many came before them."""
    states = runs.states(tables.store, tables.partition)
    return (
        tuple(
            Run(
                run_id=state.run_id,
                started_at=state.started_at,
                outcome=state.outcome,
                media_s=state.media_ms / 1000,
                wall_s=state.wall_s,
                speed=state.media_ms / 1000 / state.wall_s if state.wall_s and state.outcome == "complete" else None,
            )
            for state in states[-MAX_RUNS:]
        ),
        max(len(states) - MAX_RUNS, 0),
    )


def common_folder(tables: Tables) -> str:
    """What the names of all files begin with, up to a slash; empty when there is nothing in common."""
    (row,) = tables.arrow("SELECT min(uri) AS first, max(uri) AS last FROM segments").to_pylist()
    if row["first"] is None:
        return ""
    common = posixpath.commonprefix([row["first"], row["last"]])  # of the first and the last is of all
    return str(common[: common.rfind("/") + 1])
