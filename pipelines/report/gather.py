"""Gather what a report says from an output's tables: a few scans by DuckDB, whose memory is bounded."""

from pipelines.report import examples, ledger, modalities, sums
from pipelines.report.facts import Report, Scope
from pipelines.tables import Tables

CONFIDENCE_BINS = 20

_SCOPE = """
SELECT min(labelled_at) AS first_at, max(labelled_at) AS last_at, list_sort(list(DISTINCT model_id)) AS models
FROM labels
"""
_CONFIDENCE = f"""
SELECT least(floor(confidence * {CONFIDENCE_BINS})::INT, {CONFIDENCE_BINS - 1}) AS bin, count(*) AS utterances
FROM labels GROUP BY bin
"""  # noqa: S608 - our own words


def gather(tables: Tables, out: str) -> Report:
    """The report on the recipe that is open; `out` is what it is called in the report.

    Raises:
        OutputError: what is stored of a run is damaged.
    """
    summed = sums.read(tables)
    emotions = sums.emotions(summed)
    drift, drift_left_out = sums.drift(summed)
    failures, failures_left_out = ledger.failures(tables)
    runs, runs_left_out = ledger.runs_of(tables)
    coverage, together = modalities.coverage(tables)
    agreement, fused = modalities.agreement(tables)
    return Report(
        scope=_scope(tables, out),
        totals=ledger.totals(
            tables, sum(item.labelled_s for item in emotions), sum(item.utterances for item in emotions)
        ),
        statuses=ledger.statuses(tables),
        failures=failures,
        failures_left_out=failures_left_out,
        languages=ledger.languages(tables),
        stages=ledger.stages(tables),
        runs=runs,
        runs_left_out=runs_left_out,
        emotions=emotions,
        confidence_bins=_confidence_bins(tables),
        coverage=coverage,
        together=together,
        agreement=agreement,
        fused=fused,
        confident=examples.confident(tables),
        doubtful=examples.doubtful(tables),
        drift=drift,
        drift_left_out=drift_left_out,
    )


def _scope(tables: Tables, out: str) -> Scope:
    (row,) = tables.arrow(_SCOPE).to_pylist()
    first, last = (row[name].isoformat(timespec="minutes") if row[name] else None for name in ("first_at", "last_at"))
    recipe = tables.partition.removeprefix("recipe=")
    return Scope(out, recipe, tuple(row["models"] or ()), ledger.common_folder(tables), first, last)


def _confidence_bins(tables: Tables) -> tuple[int, ...]:
    counts = {row["bin"]: row["utterances"] for row in tables.arrow(_CONFIDENCE).to_pylist()}
    return tuple(counts.get(number, 0) for number in range(CONFIDENCE_BINS))
