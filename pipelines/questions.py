"""Questions that are asked often: the surest utterances of an emotion, where something is said, a video, the whole.

Each reads only the files that may hold an answer: the ledger says where a video lies, and the sums of the labels
(`pipelines.label_sums`) which files are worth a look.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.emotions import EMOTIONS
from pipelines import label_sums
from pipelines.errors import SettingsError
from pipelines.phrase import SQL_FOLDED, may_hold, said_at, tokens
from pipelines.tables import Tables

FILES_AT_ONCE = 16
"""Files that a search reads at first, and twice as many each time after: it ends once it has found enough."""

ALL_COLUMNS = "*"
_FOUND_COLUMNS = "uri, start_ms, end_ms, words, text, emotion, confidence"

CLOSE_NAMES = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """A place where a phrase is said; times in ms, None where none of its words has one."""

    uri: str
    start_ms: int
    end_ms: int
    said: str
    text: str
    emotion: str
    confidence: float


def top(tables: Tables, emotion: str, min_confidence: float, limit: int) -> list[Row]:
    """The utterances that are this emotion with the greatest confidence, the surest first.

    Raises:
        SettingsError: there is no such emotion.
    """
    if emotion not in EMOTIONS:
        raise SettingsError(f"{emotion!r} is no emotion here; there are: {', '.join(EMOTIONS)}.")
    best = f"best_{emotion}"
    stored = f"""
        SELECT file, {best} AS best FROM stored.stored_sums
        WHERE {best} >= $least AND video_id NOT IN (SELECT video_id FROM stored.replaced) ORDER BY best DESC
    """  # noqa: S608 - our own words
    ranked = tables.arrow(stored, {"least": min_confidence})
    # The rows that are wanted are no worse than the best ones of as many files.
    least = ranked["best"][limit - 1].as_py() if ranked.num_rows >= limit else min_confidence
    worth = pc.unique(ranked.filter(pc.greater_equal(ranked["best"], least))["file"]).to_pylist()
    files = [*worth, *tables.unsummed]
    return _rows(
        tables,
        files,
        "emotion = $emotion AND confidence >= $least",
        {"emotion": emotion, "least": min_confidence},
        f"ORDER BY confidence DESC, uri, start_ms LIMIT {limit:d}",
    )


def find(tables: Tables, phrase: str, limit: int) -> Iterator[Found]:
    """Where a phrase is said, at most `limit` places, in the order of the files.

    Case, accents and whatever stands between words don't count (`pipelines.phrase`).

    Raises:
        SettingsError: the phrase holds no word.
    """
    wanted = tokens(phrase)
    if not wanted:
        raise SettingsError(f"{phrase!r} holds no word to look for.")
    left = limit
    files = _files_that_may_hold(tables, wanted)
    said = SQL_FOLDED.format(text="text")
    where = " AND ".join(f"contains({said}, $token{number})" for number in range(len(wanted)))
    parameters = {f"token{number}": token for number, token in enumerate(wanted)}
    at, count = 0, FILES_AT_ONCE
    while at < len(files):
        rows = _rows(tables, files[at : at + count], where, parameters, "ORDER BY uri, start_ms", _FOUND_COLUMNS)
        at, count = at + count, count * 2
        for row in rows:
            for found in _places(row, wanted):
                yield found
                left -= 1
                if not left:
                    return


def _files_that_may_hold(tables: Tables, wanted: list[str]) -> list[str]:
    names = tables.committed.labels
    sums = label_sums.read(tables.store, tables.partition, names, [label_sums.SKETCH])
    summed: set[str] = set()
    worth: set[str] = set()
    for batch in sums.to_batches():
        files = batch["file"]
        summed.update(files.unique().to_pylist())
        worth.update(files.filter(pa.array(may_hold(batch[label_sums.SKETCH], wanted))).unique().to_pylist())
    return [name for name in names if name in worth or name not in summed]


def _places(row: Row, wanted: list[str]) -> Iterator[Found]:
    words = row["words"]
    for first, last in said_at([word["word"] for word in words], wanted):
        part = words[first : last + 1]
        starts = [word["start_ms"] for word in part if word["start_ms"] is not None]
        ends = [word["end_ms"] for word in part if word["end_ms"] is not None]
        yield Found(
            uri=row["uri"],
            # Of words without times, the utterance's are known.
            start_ms=min(starts, default=row["start_ms"]),
            end_ms=max(ends, default=row["end_ms"]),
            said=" ".join(word["word"] for word in part),
            text=row["text"],
            emotion=row["emotion"],
            confidence=row["confidence"],
        )


def video(tables: Tables, name: str, columns: str = ALL_COLUMNS) -> tuple[Row, list[Row], list[Row]]:
    """One video: its row of `videos`, its segments and its labels, both in order of time.

    Args:
        tables: the output.
        name: its address, its video_id, or the end of its address if no other ends so.
        columns: those of the labels that are wanted, in SQL.

    Raises:
        SettingsError: there is none, or there are several.
    """
    video_id = _video_id(tables, name)
    (about,) = tables.arrow("SELECT * FROM videos WHERE video_id = $1", [video_id]).to_pylist()
    segments = tables.arrow("SELECT * FROM segments WHERE video_id = $1 ORDER BY start_ms", [video_id]).to_pylist()
    files = tables.files_of([video_id])
    return about, segments, _rows(tables, files, "video_id = $id", {"id": video_id}, "ORDER BY start_ms", columns)


def _video_id(tables: Tables, name: str) -> str:
    query = """
        SELECT DISTINCT video_id, uri FROM segments
        WHERE uri = $name OR video_id = $name OR ends_with(uri, '/' || ltrim($name, '/'))
        ORDER BY uri = $name DESC, uri
    """
    found = tables.arrow(query, {"name": name}).to_pylist()
    if found and (len(found) == 1 or found[0]["uri"] == name):
        return str(found[0]["video_id"])
    if found:
        raise SettingsError(
            f"Several videos end in {name!r}: {', '.join(row['uri'] for row in found[:CLOSE_NAMES])} ..."
        )
    close = f"""
        SELECT uri FROM (SELECT DISTINCT uri FROM segments)
        ORDER BY jaro_winkler_similarity(lower(parse_filename(uri)), lower($1)) DESC, uri LIMIT {CLOSE_NAMES}
    """  # noqa: S608 - a number of ours
    rows = tables.arrow(close, [name.rpartition("/")[2]]).to_pylist()
    like = f" Like it are: {', '.join(row['uri'] for row in rows)}." if rows else ""
    raise SettingsError(f"{tables.store.root}: no video {name!r}.{like}")


def stats(tables: Tables) -> Row:
    """What there is: videos, hours, segments by status, and for each emotion its utterances, minutes and videos."""
    whole = tables.arrow("""
        SELECT count(*) AS videos, count(*) FILTER (failed_segments > 0) AS failed_videos,
               coalesce(sum(utterances), 0)::BIGINT AS utterances, coalesce(sum(duration_s), 0) / 3600 AS hours,
               coalesce(sum(speech_share * duration_s), 0) / 3600 AS speech_hours,
               avg(text_share) FILTER (dominant IS NOT NULL) AS text_share,
               avg(audio_share) FILTER (dominant IS NOT NULL) AS audio_share,
               avg(face_share) FILTER (dominant IS NOT NULL) AS face_share,
               avg(labelled_share) FILTER (dominant IS NOT NULL) AS labelled_share
        FROM videos
    """).to_pylist()[0]
    statuses = tables.arrow("SELECT status, count(*) AS segments FROM segments GROUP BY status ORDER BY 2 DESC, 1")
    sums = ", ".join(f"sum(rows_{name}) AS rows_{name}, sum(ms_{name}) AS ms_{name}" for name in EMOTIONS)
    added = tables.arrow(f"SELECT {sums} FROM stored.label_sums").to_pylist()[0]  # noqa: S608 - our own words
    videos = tables.arrow(
        "SELECT dominant, count(*) AS n FROM videos WHERE dominant IS NOT NULL GROUP BY 1"
    ).to_pylist()
    dominant = {row["dominant"]: row["n"] for row in videos}
    emotions = {
        name: {
            "utterances": int(added[f"rows_{name}"] or 0),
            "minutes": round(int(added[f"ms_{name}"] or 0) / 60_000, 2),
            "videos_dominated": dominant.get(name, 0),
        }
        for name in EMOTIONS
    }
    by_status = {row["status"]: row["segments"] for row in statuses.to_pylist()}
    return {"recipe": tables.partition.removeprefix("recipe=")} | whole | {"segments": by_status, "emotions": emotions}


def _rows(
    tables: Tables, files: Iterable[str], where: str, parameters: Row, rest: str, columns: str = ALL_COLUMNS
) -> list[Row]:
    """Label rows of current versions in some files."""
    current = "video_id NOT IN (SELECT video_id FROM stored.replaced)"
    query = f"SELECT {columns} FROM {tables.rows_in(files)} WHERE {where} AND {current} {rest}"  # noqa: S608 - our own words
    return list(tables.arrow(query, parameters).to_pylist())
