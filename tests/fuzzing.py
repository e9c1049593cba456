"""What the parsers that are ours are fed with, in the tests for seconds and in `benchmarks.fuzz` for minutes."""

from hypothesis import strategies as st

from operators.schema import PLANNED
from operators.transcripts import READERS

_TRANSCRIPT_WORDS = (
    '00:00:01,000 --> 00:00:02,000|-->|1|\n|\n\n|\r\n|WEBVTT|text|<c>|[|]|{|}|"|:|,|0.5|-1|1e9|1e999|IntervalTier|'
    'TextTier|"ooTextFile"|"TextGrid"|<exists>|"segments"|"text"|"start"|"end"|"language"|null|NaN|true|\\ud800|\\u0000|'
    "a [1.0-2.0]: b|\ufeff|\0|é|&#|&#99999;|{\\an8}|(|)|♪|- |JOHN: |99:99:99.999|٣"
).split("|")

SUFFIXES = st.sampled_from(sorted(READERS))
_HEADS = st.sampled_from(
    ["", "WEBVTT\n\n", '{"segments": [', 'File type = "ooTextFile"\nObject class = "TextGrid"\n0\n9\n<exists>\n']
)
TRANSCRIPTS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda head, words: (head + "".join(words)).encode(),
        _HEADS,
        st.lists(st.sampled_from(_TRANSCRIPT_WORDS), max_size=80),
    ),
    st.builds(
        lambda text, encoding: text.encode(encoding, "ignore"),
        st.text(max_size=200),
        st.sampled_from(["utf-16", "utf-8-sig", "latin-1"]),
    ),
)
"""Bytes of transcripts: noise, plausible pieces in any order, text in any encoding."""

_YAML_WORDS = (
    "speech|engine|decode|plan|limits|asr|language|batch_size|: |:|- |\n|\n  |, |{|}|[|]|&a |*a|<<|!!|"
    "time_limit_base_s|!!python/|!!binary |!!timestamp |!!set |!!int |!!float |!!bool |"
    "'|\"|#|---|...|%YAML 1.1|? |>|null|true|~|1|-1|1e9|.inf|.nan|0x|0b|0o7|1:60|"
    "2026-13-45|\t|\0|\ud800|é|\ufeff"
).split("|")
YAML_TEXTS = st.one_of(st.text(max_size=100), st.lists(st.sampled_from(_YAML_WORDS), max_size=40).map("".join))
"""Texts of configurations."""

PLAN_CELLS = st.tuples(
    st.integers(0, 100),
    st.sampled_from(PLANNED.names),
    st.one_of(st.none(), st.integers(-(1 << 63), (1 << 63) - 1), st.text(max_size=20), st.floats(), st.booleans()),
)
"""(row, column, value): what is changed in a plan."""

CUES = st.lists(
    st.tuples(st.integers(0, 60_000), st.integers(1, 30_000), st.text("ab ", min_size=1, max_size=60)), max_size=30
)
"""(start_ms, length_ms, text) of cues."""
