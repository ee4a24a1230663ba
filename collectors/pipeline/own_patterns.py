"""Regular expressions that operators add to what is redacted."""

import re

from schemas.errors import KbwatchError

REDACTED = "[redacted]"
PIECE_LENGTH = 2_048
"""Texts are looked at in pieces of at most this many characters, cut at blanks where possible: a
pattern that is slow on long texts never gets one."""

_MARKERS = re.compile(r"\[(?:user|sid|address|arguments|redacted)\]")
"""What redaction puts in; it is not redacted again."""
_NESTED = re.compile(r"\((?:\\.|[^()\\])*(?<![+*?}])[+*](?!\+)(?:\\.|[^()\\])*\)(?:[+*](?!\+)|\{)")


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, ready to use. Raises KbwatchError for one that is wrong or might never end."""
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise KbwatchError(f"redact.patterns: {pattern!r}: {error}") from None
    if _NESTED.search(pattern):
        raise KbwatchError(
            f"redact.patterns: {pattern!r}: a repetition within a repetition can take for ever on "
            "some texts; make the inner one possessive (++ or *+)"
        )
    return expression


def hidden(expression: re.Pattern[str], text: str) -> str:
    """The text with ``[redacted]`` for whatever matches."""
    out = []
    start = 0
    for marker in _MARKERS.finditer(text):
        out += _in_pieces(expression, text[start : marker.start()])
        out.append(marker.group())
        start = marker.end()
    out += _in_pieces(expression, text[start:])
    return "".join(out)


def _in_pieces(expression: re.Pattern[str], text: str) -> list[str]:
    out = []
    start = 0
    while len(text) - start > PIECE_LENGTH:
        end = start + PIECE_LENGTH
        end = max(text.rfind(" ", start, end), text.rfind("\n", start, end)) + 1 or end
        out.append(expression.sub(_marker, text[start:end]))
        start = end
    out.append(expression.sub(_marker, text[start:]))
    return out


def _marker(found: re.Match[str]) -> str:
    return REDACTED if found.group() else ""
