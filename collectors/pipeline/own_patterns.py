"""Regular expressions that operators add to what is redacted."""

import re

from schemas.errors import KbwatchError

REDACTED = "[redacted]"
PIECE_LENGTH = 2_048
"""Texts are looked at in pieces of at most this many characters, cut at blanks where possible: a
pattern that is slow on long texts never gets one."""

_MARKERS = re.compile(r"\[(?:user|sid|address|arguments|redacted)\]")
"""What redaction puts in; it is not redacted again."""
_TOKENS = re.compile(
    r"\\."
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|(?P<open>\((?:\?(?:P?<\w+>|<[=!]|[A-Za-z-]*:|[A-Za-z]+|[=!>]))?)"
    r"|(?P<close>\))"
    r"|(?P<or>\|)"
    r"|(?P<times>(?:[*+?]|\{\d*,?\d*\}))(?P<how>[+?]?)"
    r"|.",
    re.DOTALL,
)
_ATOMIC = "(?>"
_MOST_OPEN = 3
"""With more repetitions that may give back what they took, time grows with their number."""
_ONCE = ("?", "{1}", "{0,1}", "{,1}", "{0}")


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, ready to use. Raises KbwatchError for one that is wrong, or that some text
    could keep busy for ever.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise KbwatchError(f"redact.patterns: {pattern!r}: {error}") from None
    why = _endless(expression)
    if why:
        raise KbwatchError(f"redact.patterns: {pattern!r}: {why}")
    return expression


def _endless(expression: re.Pattern[str]) -> str:
    """Why some text could keep the pattern busy for ever; empty: none could.

    A text can be divided among the rounds of a repetition in very many ways if what is repeated
    may itself match in several; what is possessive or atomic matches in one alone.
    """
    if expression.flags & re.VERBOSE or "(?(" in expression.pattern:
        return "write it without (?x) and without conditions"
    varies = [False]  # per open group: whether it may match the same place in several ways
    atomic = [False]
    before = False  # the same of what stands just before
    open_ended = 0
    for token in _TOKENS.finditer(expression.pattern):
        times = token["times"]
        if times and token["how"] == "+":
            before = False
            continue
        if times:
            if before and times not in _ONCE:
                return (
                    "a repetition of something that itself repeats or has alternatives can take "
                    "for ever on some texts; make one of the two repetitions possessive (++ or *+)"
                )
            open_ended += times in "*+" or times.endswith(",}")
            before = before or re.fullmatch(r"\{\d+\}", times) is None
            continue
        varies[-1] = varies[-1] or before
        before = False
        if token["open"]:
            varies.append(False)
            atomic.append(token["open"] == _ATOMIC)
        elif token["close"]:
            inside, closed = varies.pop(), atomic.pop()
            before = inside and not closed
        elif token["or"]:
            varies[-1] = True
    if open_ended > _MOST_OPEN:
        return f"more than {_MOST_OPEN} open repetitions; make some of them possessive (++ or *+)"
    return ""


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
