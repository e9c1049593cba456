"""Praat's TextGrid, the long form; `operators.textgrid` reads it."""

from pipelines.export.tiers import Interval


def textgrid(tiers: dict[str, list[Interval]], duration_ms: int) -> str:
    """All tiers; as Praat wants it, each covers all the time, with empty intervals where nothing is said."""
    end_ms = max([duration_ms, 1, *(line[-1].end_ms for line in tiers.values() if line)])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_s(end_ms)}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, line) in enumerate(tiers.items(), 1):
        filled = _without_gaps(line, end_ms)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}"]
        lines += ["        xmin = 0", f"        xmax = {_s(end_ms)}", f"        intervals: size = {len(filled)}"]
        for at, item in enumerate(filled, 1):
            lines += [f"        intervals [{at}]:", f"            xmin = {_s(item.start_ms)}"]
            lines += [f"            xmax = {_s(item.end_ms)}", f"            text = {_quoted(item.text)}"]
    return "\n".join([*lines, ""])


def _without_gaps(line: list[Interval], end_ms: int) -> list[Interval]:
    filled: list[Interval] = []
    position = 0
    for item in line:
        if item.start_ms > position:
            filled.append(Interval(position, item.start_ms, ""))
        filled.append(item)
        position = item.end_ms
    return [*filled, Interval(position, end_ms, "")] if position < end_ms else filled


def _s(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
