"""The page: a small server on the loopback address, in a process of its own (docs/page.md, docs/page-api.md)."""
