"""A bar for what takes long."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID


class Bar:
    """How far a task is."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int = 1) -> None:
        """``count`` more are done."""
        self._progress.advance(self._task, count)

    def at(self, done: int, total: int) -> None:
        """``done`` of ``total`` are done."""
        self._progress.update(self._task, completed=done, total=total)


@contextmanager
def bar(what: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on standard error, where that is a terminal: standard output may be for a program."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(what, total=total))
