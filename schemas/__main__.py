"""``python -m schemas`` is ``kbwatch``, for where no script is installed."""

from schemas.cli import main

if __name__ == "__main__":
    main()
