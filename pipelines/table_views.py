"""The SQL views over an output: what columns they have, and how they come from the two tables that are committed.

`label_rows` and `segment_rows` are the rows as they are stored, `stored_sums` and `other_sums` what labels add up to
(`pipelines.label_sums`), `replaced` the ids of versions that count no more.
"""

from models.emotions import EMOTIONS, MODALITIES
from pipelines.label_sums import SUMMED

MS_PER_MINUTE = 60_000

LABELS = """
CREATE VIEW labels AS
SELECT *,
       start_ms / 1000 AS start_s,
       end_ms / 1000 AS end_s,
       (end_ms - start_ms) / 1000 AS duration_s
FROM stored.label_rows
"""

NOT_REPLACED = "WHERE video_id NOT IN (SELECT video_id FROM stored.replaced)"

SEGMENTS = """
CREATE VIEW segments AS
SELECT *,
       start_ms / 1000 AS start_s,
       end_ms / 1000 AS end_s,
       duration_ms / 1000 AS duration_s,
       speech_ms / 1000 AS speech_s
FROM stored.segment_rows
"""

WORDS = """
CREATE VIEW words AS
SELECT video_id, uri, segment_index, utterance_index, word_index, w.word AS word, w.start_ms AS start_ms,
       w.end_ms AS end_ms, w.start_ms / 1000 AS start_s, w.end_ms / 1000 AS end_s, w.score AS score,
       emotion, confidence
FROM (
    SELECT video_id, uri, segment_index, utterance_index, emotion, confidence,
           unnest(words) AS w, generate_subscripts(words, 1) AS word_index
    FROM stored.label_rows {only_current}
)
"""

ANNOTATIONS = "CREATE VIEW annotations AS SELECT * FROM stored.annotation_rows"


_OF_LABELS = ", ".join(f"sum({name}) AS {name}" for name in SUMMED)

_MINUTES = ", ".join(f"coalesce(ms_{name}, 0) / {MS_PER_MINUTE} AS minutes_{name}" for name in EMOTIONS)
_SHARES = ", ".join(f"coalesce(ms_{name} / labelled_ms, 0) AS {name}_share" for name in MODALITIES)
_MOST = f"greatest({', '.join(f'ms_{name}' for name in EMOTIONS)})"
_DOMINANT = "CASE " + " ".join(f"WHEN ms_{name} = {_MOST} THEN '{name}'" for name in EMOTIONS) + " END"

VIDEOS = f"""
CREATE VIEW videos AS
WITH of_labels AS (
    SELECT video_id, {_OF_LABELS} FROM stored.label_sums GROUP BY video_id
), of_segments AS (
    SELECT video_id, any_value(uri) AS uri, max(duration_ms) AS duration_ms, any_value(width) AS width,
           any_value(height) AS height, any_value(fps) AS fps, any_value(video_codec) AS video_codec,
           any_value(audio_codec) AS audio_codec, count(*) AS segments,
           count(*) FILTER (status IN (SELECT status FROM stored.failed_statuses)) AS failed_segments,
           CASE WHEN count(DISTINCT status) = 1 THEN any_value(status) ELSE 'mixed' END AS status,
           any_value(reason) AS reason, sum(utterances)::BIGINT AS utterances,
           coalesce(sum(speech_ms), 0)::BIGINT AS speech_ms, max(finished_at) AS finished_at
    FROM stored.segment_rows GROUP BY video_id
)
SELECT s.video_id, s.uri, s.status, s.reason, s.duration_ms, s.duration_ms / 1000 AS duration_s, s.utterances,
       {_DOMINANT} AS dominant, confidence / rows AS mean_confidence, {_MINUTES}, {_SHARES},
       coalesce(face_coverage_ms / labelled_ms, 0) AS face_coverage,
       CASE WHEN s.duration_ms > 0 THEN s.speech_ms / s.duration_ms END AS speech_share,
       CASE WHEN s.duration_ms > 0 THEN coalesce(labelled_ms, 0) / s.duration_ms END AS labelled_share,
       s.segments, s.failed_segments, s.width, s.height, s.fps, s.video_codec, s.audio_codec, s.finished_at
FROM of_segments s LEFT JOIN of_labels USING (video_id)
"""  # noqa: S608 - our own words
"""One row a video. `text_share`, `audio_share`, `face_share` and `face_coverage` are of the time that was labelled."""


def statements(has_replaced: bool, has_annotations: bool) -> list[str]:
    """What makes the views, one statement each."""
    only_current = NOT_REPLACED if has_replaced else ""
    sums = " UNION ALL BY NAME ".join(
        f"FROM {source} {only_current}" for source in ("stored.stored_sums", "stored.other_sums")
    )
    made = [f"CREATE VIEW stored.label_sums AS {sums}", LABELS + only_current, SEGMENTS, VIDEOS]
    made.append(WORDS.format(only_current=only_current))
    return [*made, ANNOTATIONS] if has_annotations else made
