"""The one exception a person is meant to read."""


class KbwatchError(Exception):
    """Something the operator can mend: what is wrong, where, and what to do.

    Commands print it as one line on standard error and exit with 2; it never shows a traceback.
    """
