"""`python -m hermesguard` is the command `hermesguard`."""

from hermesguard.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
