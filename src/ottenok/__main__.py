"""`python -m ottenok`, the same as the command `ottenok`."""

from __future__ import annotations

from ottenok.cli.main import main

if __name__ == "__main__":
    main()
