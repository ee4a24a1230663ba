"""Windows' textual times as Unix milliseconds."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST_MS = 4_102_444_800_000  # reports.TimeMs ends there


def time_ms(text: str) -> int:
    """``2018-07-12T00:41:50.4966530Z`` → milliseconds UTC, rounded down.

    Digits beyond microseconds are cut; a time without a zone is UTC, as Windows logs it. Raises
    ValueError for what is no time or lies outside 1970…2100.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    t_ms = (moment - _EPOCH) // _MILLISECOND
    if not 0 <= t_ms <= _LATEST_MS:
        raise ValueError(f"{text} is not between 1970 and 2100")
    return t_ms
