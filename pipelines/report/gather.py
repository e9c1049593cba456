"""Gather what a report says from an output's tables: a few scans by DuckDB, whose memory is bounded."""

import pyarrow.compute as pc

from pipelines.report import counts, examples, ledger, modalities, sums
from pipelines.report.counts import CONFIDENCE_BINS, Counts
from pipelines.report.facts import Language, Report, Scope
from pipelines.report.sums import Sums
from pipelines.tables import Tables


def gather(tables: Tables, out: str) -> Report:
    """The report on the recipe that is open; `out` is what it is called in the report.

    Raises:
        OutputError: what is stored of a run is damaged.
    """
    summed, counted = sums.read(tables), counts.read(tables)
    emotions = sums.emotions(summed)
    drift, drift_left_out = sums.drift(summed)
    failures, failures_left_out = ledger.failures(tables)
    runs, runs_left_out = ledger.runs_of(tables)
    coverage, together = modalities.coverage(counted)
    agreement, fused = modalities.agreement(counted)
    return Report(
        scope=_scope(tables, out, summed),
        totals=ledger.totals(
            tables, sum(item.labelled_s for item in emotions), sum(item.utterances for item in emotions)
        ),
        statuses=ledger.statuses(tables),
        failures=failures,
        failures_left_out=failures_left_out,
        languages=_languages(counted),
        stages=ledger.stages(tables),
        runs=runs,
        runs_left_out=runs_left_out,
        emotions=emotions,
        confidence_bins=_confidence_bins(counted),
        coverage=coverage,
        together=together,
        agreement=agreement,
        fused=fused,
        confident=examples.confident(tables, summed),
        doubtful=examples.doubtful(tables, summed),
        drift=drift,
        drift_left_out=drift_left_out,
    )


def _scope(tables: Tables, out: str, summed: Sums) -> Scope:
    moments = (pc.min(summed.rows["first_at"]).as_py(), pc.max(summed.rows["last_at"]).as_py())
    first, last = (moment.isoformat(timespec="minutes") if moment else None for moment in moments)
    models = sorted({name for names in summed.rows["models"].to_pylist() for name in names})
    recipe = tables.partition.removeprefix("recipe=")
    return Scope(out, recipe, tuple(models), ledger.common_folder(tables), first, last)


def _languages(counted: Counts) -> tuple[Language, ...]:
    """What is spoken, the commonest first."""
    rows = sorted(counted.languages, key=lambda row: -row["utterances"])
    return tuple(Language(row["language"], row["utterances"], row["ms"] / 1000) for row in rows)


def _confidence_bins(counted: Counts) -> tuple[int, ...]:
    utterances = {row["bin"]: row["utterances"] for row in counted.bins}
    return tuple(utterances.get(number, 0) for number in range(CONFIDENCE_BINS))
