"""`python -m voicesvc`."""

from voicesvc.cli import main

main()
