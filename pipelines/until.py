"""Until when: a time of day, or a length of time."""

import re
from datetime import datetime, time, timedelta

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LENGTH = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds_until(text: str, now: datetime) -> float:
    """Seconds from `now` until a local time ("06:00": the next one) or for a length ("8h", "7h30m", "45s").

    Args:
        text: as above.
        now: local, without a zone.

    Raises:
        ValueError: it is neither.
    """
    if found := _TIME.fullmatch(text.strip()):
        end = datetime.combine(now.date(), time(int(found[1]), int(found[2])))
        if end <= now:
            end += timedelta(days=1)
        # By the clock of the world: the night in which the local one is put forward is an hour shorter.
        return end.timestamp() - now.timestamp()
    found = _LENGTH.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    if length := hours * 3600 + minutes * 60 + seconds:
        return float(length)
    raise ValueError(f"{text!r} is neither a local time like 06:00 nor a length like 8h, 7h30m or 45s")
