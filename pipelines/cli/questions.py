"""`fv2es top`, `find`, `video` and `stats`: the questions that are asked most."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from models.emotions import EMOTIONS
from pipelines import questions
from pipelines.cli.asking import OutArgument, RecipeOption, asked
from pipelines.cli.console import ConfigOption, JsonOption, count, duration, harmless, print_unbroken
from pipelines.cli.console import errors as err
from pipelines.cli.console import out as console

LIMIT = 20
WIDTH = 60
"""Characters of a video's strip."""
SHOWN_COLUMNS = "start_ms, end_ms, emotion, confidence, text"
LINES_AT_ONCE = 100
"""Lines of labels that are printed together: rich takes three times as long over each by itself."""

# Okabe and Ito's colours, which colour-blind people can tell apart; letters say the same without colour.
COLOURS = dict(
    zip(EMOTIONS, ("#999999", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#009e73", "#56b4e9"), strict=True)
)
LETTERS = dict(zip(EMOTIONS, "nhsafdu", strict=True))

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many at most.")]

TOP_EXAMPLES = """
[bold]Examples[/]

  fv2es top labels/ fear --min-confidence .8

  fv2es top s3://bucket/labels angry -n 100 --json
"""
FIND_EXAMPLES = """
[bold]Examples[/]

  fv2es find labels/ "the best of times"

Case, accents, punctuation and hyphens don't count; words are found whole.
"""
VIDEO_EXAMPLES = """
[bold]Examples[/]

  fv2es video labels/ /data/videos/talk.mp4

  fv2es video labels/ talk.mp4 --json
"""
STATS_EXAMPLES = """
[bold]Examples[/]

  fv2es stats labels/

  fv2es stats s3://bucket/labels --json
"""


def top(
    out: OutArgument,
    emotion: Annotated[str, typer.Argument(metavar="EMOTION", help=f"One of {', '.join(EMOTIONS)}.")],
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Leave out what is less sure.")] = 0.0,
    limit: LimitOption = LIMIT,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show the utterances that are EMOTION with the greatest confidence."""
    rows = asked(out, recipe, config, lambda tables: questions.top(tables, emotion, min_confidence, limit))
    if json_output:
        _echo({"emotion": emotion, "rows": rows})
        return
    table = _table("file", "time", "confidence", "words")
    for row in rows:
        where = f"{clock(row['start_ms'])}-{clock(row['end_ms'])}"
        table.add_row(_name(row["uri"]), where, f"{row['confidence']:.3f}", harmless(row["text"] or "-"))
    print_unbroken(table)
    if not rows:
        err.print(f"No utterance is {emotion} with a confidence of {min_confidence:g} or more.")


def find(
    out: OutArgument,
    phrase: Annotated[str, typer.Argument(metavar="PHRASE", help="A word, or words that follow each other.")],
    limit: LimitOption = LIMIT,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show where PHRASE is said, with the times of its words."""
    found = asked(out, recipe, config, lambda tables: list(questions.find(tables, phrase, limit + 1)))
    shown = found[:limit]
    if json_output:
        _echo({"phrase": phrase, "more": len(found) > limit, "found": [asdict(place) for place in shown]})
        return
    table = _table("file", "time", "said", "emotion", "in")
    for place in shown:
        emotion = f"[{COLOURS[place.emotion]}]{place.emotion}[/] {place.confidence:.2f}"
        where = f"{clock(place.start_ms)}-{clock(place.end_ms)}"
        table.add_row(_name(place.uri), where, harmless(place.said), emotion, harmless(place.text))
    print_unbroken(table)
    if not shown:
        err.print(f"{harmless(phrase)} is said nowhere.", soft_wrap=True)
    elif len(found) > limit:
        err.print("There are more; --limit shows more of them.")


def video(
    out: OutArgument,
    uri: Annotated[str, typer.Argument(metavar="URI", help="Its address, how that ends, or its video_id.")],
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show one video: how it was labelled, and what is said and felt when."""
    columns = questions.ALL_COLUMNS if json_output else SHOWN_COLUMNS
    about, segments, labels = asked(out, recipe, config, lambda tables: questions.video(tables, uri, columns))
    if json_output:
        _echo({"video": about, "segments": segments, "labels": labels})
        return
    console.print(f"[bold]{harmless(about['uri'])}[/]", soft_wrap=True)
    said = f"{duration(about['duration_ms'])}, {count(about['utterances'], 'utterance')}, {about['status']}"
    console.print(f"{said}: {harmless(about['reason'])}" if about["reason"] else said, soft_wrap=True)
    if labels:
        console.print(strip(labels, about["duration_ms"]))
        names = (f"[{COLOURS[name]}]{LETTERS[name]}[/] {name}" for name in EMOTIONS)
        console.print("  ".join(names) + "  · nothing labelled", soft_wrap=True)
    lines = [
        f"{clock(row['start_ms']):>11}  [{COLOURS[row['emotion']]}]{row['emotion']:<8}[/] {row['confidence']:.2f}  "
        + harmless(row["text"] or "-")
        for row in labels
    ]
    for first in range(0, len(lines), LINES_AT_ONCE):
        console.print("\n".join(lines[first : first + LINES_AT_ONCE]), soft_wrap=True)


def stats(
    out: OutArgument, recipe: RecipeOption = None, config: ConfigOption = None, json_output: JsonOption = False
) -> None:
    """Show what OUT holds: videos, hours, emotions, failures."""
    found = asked(out, recipe, config, questions.stats)
    if json_output:
        _echo(found)
        return
    console.print(
        f"{count(found['videos'], 'video')}, {found['hours']:,.1f} hours, {found['speech_hours']:,.1f} of speech, "
        f"{count(found['utterances'], 'utterance')}; recipe {found['recipe']}",
        soft_wrap=True,
    )
    table = _table("emotion", "utterances", "hours", "share of time", "videos where it leads")
    whole = sum(item["minutes"] for item in found["emotions"].values()) or 1
    for name, item in found["emotions"].items():
        numbers = (f"{item['utterances']:,}", f"{item['minutes'] / 60:,.1f}", f"{item['minutes'] / whole:.1%}")
        table.add_row(f"[{COLOURS[name]}]{name}[/]", *numbers, f"{item['videos_dominated']:,}")
    print_unbroken(table)
    table = _table("status", "segments")
    for status, segments in found["segments"].items():
        table.add_row(harmless(status), f"{segments:,}")
    print_unbroken(table)


def strip(labels: list[dict[str, Any]], duration_ms: int) -> Text:
    """A video as one line: in each stretch, the letter of the emotion that takes the most of it."""
    end_ms = max(duration_ms, labels[-1]["end_ms"], 1)
    shares: list[dict[str, int]] = [{} for _ in range(WIDTH)]
    for row in labels:
        for at in range(row["start_ms"] * WIDTH // end_ms, min(WIDTH - 1, (row["end_ms"] - 1) * WIDTH // end_ms) + 1):
            begins, ends = at * end_ms // WIDTH, (at + 1) * end_ms // WIDTH
            within = min(row["end_ms"], ends) - max(row["start_ms"], begins)
            shares[at][row["emotion"]] = shares[at].get(row["emotion"], 0) + within
    line = Text()
    for share in shares:
        emotion = max(share, key=lambda name: share[name]) if share else None
        line.append(LETTERS[emotion] if emotion else "·", style=COLOURS[emotion] if emotion else "dim")
    return line


def clock(milliseconds: int) -> str:
    """A time in a video for people: 1:02:03.4."""
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest // 100 / 10:04.1f}" if hours else f"{minutes}:{rest // 100 / 10:04.1f}"


def _name(uri: str) -> str:
    return harmless(uri.rpartition("/")[2])


def _table(*names: str) -> Table:
    table = Table(box=None, header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _echo(value: object) -> None:
    typer.echo(json.dumps(value, default=str))
