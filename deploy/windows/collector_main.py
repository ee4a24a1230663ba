"""What the packaged collector starts."""

from collectors.cli import main

main()
