"""The Range header of HTTP (RFC 9110, section 14): which bytes of a file a player asks for."""

import re

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class UnsatisfiableError(ValueError):
    """A range that begins behind the end of the file."""


def asked_range(header: str | None, size: int) -> range | None:
    """The bytes that a Range header asks for; None for the whole file.

    Several ranges at once, other units than bytes and what is no range at all are answered with the whole file, as the
    standard allows: no player needs them, and overlapping ranges are a way to make a server work.

    Raises:
        UnsatisfiableError: it asks for what is behind the end.
    """
    match = _ONE_RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start = int(first)
        end = min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableError
    return range(start, end)
