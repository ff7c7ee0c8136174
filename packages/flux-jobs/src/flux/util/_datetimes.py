"""Points in time as people write them."""

from __future__ import annotations

from datetime import datetime

from flux.util._durations import parse_fsd

__all__ = ["parse_datetime"]


def parse_datetime(string: str, now: datetime | None = None) -> datetime:
    """Return a point in time.

    Args:
        string: ``now``; ``+`` or ``-`` and a duration as RFC 23 has it; or what people write, such
            as ``noon tomorrow``, in English.
        now: What it is relative to; None: this moment.

    Returns:
        The time, with the zone of this machine.

    Raises:
        ValueError: It is none of these.
    """
    now = datetime.now().astimezone() if now is None else now
    if string == "now":
        return now
    if string[:1] in ("+", "-"):
        seconds = parse_fsd(string[1:])
        try:
            moment = now.timestamp() + (-seconds if string[0] == "-" else seconds)
            return datetime.fromtimestamp(moment).astimezone()
        except OverflowError:
            raise ValueError(f'Invalid datetime: "{string}" is out of range') from None
    from parsedatetime import Calendar  # type: ignore[import-untyped]

    calendar = Calendar()
    # A day without a time is its beginning.
    calendar.ptc.StartHour = 0
    fields, found = calendar.parse(string, sourceTime=now.timetuple())
    if not found:
        raise ValueError(f'Invalid datetime: "{string}"')
    return datetime(*fields[:6]).astimezone()
