"""What the way to a store has done to a read, told apart from what is wrong with the file."""

import re

from operators.segment_media import SegmentMedia

_OF_THE_WAY = re.compile(
    r"Server returned|HTTP error|Stream ends prematurely|Input/output error|Connection|Network|timed out|resolve"
)
_LINES_OF_THE_WAY = re.compile(r"^\[(http|https|tcp|tls)\].*\n?", re.MULTILINE)


def clean(media: SegmentMedia, complete: bool) -> str | None:
    """Take what happened on the way out of what ffmpeg said of a remote file.

    A connection that was cut and taken up again leaves no trace: the row is that of an undisturbed read.

    Args:
        media: what was read; its `error` and `stderr_tail` are changed.
        complete: whether all of the segment came.

    Returns:
        Why the read did not come to its end, where the store is to blame; None else.
    """
    media.stderr_tail = _LINES_OF_THE_WAY.sub("", media.stderr_tail)
    error = media.error
    if error is None or not _OF_THE_WAY.search(error):
        return "the store was too slow to read from" if media.timed_out else None
    media.error = None
    if complete:
        return None
    return f"the storage failed in mid-read: {error.rpartition('] ')[2]}"
