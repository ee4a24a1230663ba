"""``kbwatch-collector``: the command on nodes. Errors are one line and exit status 2."""

import sys

from schemas.errors import KbwatchError


def main() -> None:
    """Run the command line; the entry point of ``kbwatch-collector``."""
    try:
        if sys.argv[1:2] == ["service"]:
            from collectors.command.service import main as serve

            serve(sys.argv[2:])
        else:
            from collectors.command.commands import app

            app()
    except KbwatchError as error:
        _fail(" ".join(str(error).split()))
    except ModuleNotFoundError as error:
        _fail(f"the module {error.name} is missing: pip install 'kbwatch[collector]'")


def _fail(message: str) -> None:
    print(f"kbwatch-collector: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
