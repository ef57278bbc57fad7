"""``python -m lsb_rag``."""

from .cli import main

main()
