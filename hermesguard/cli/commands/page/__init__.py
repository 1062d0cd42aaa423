"""Commands of the page: serve, open, extension."""
