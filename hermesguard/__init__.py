"""hermesguard: keeps the conversations of hermes-webui from being lost."""

__version__ = "0.2.0"
