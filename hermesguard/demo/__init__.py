"""A stand-in for hermes-webui that leaves on disk what the real one leaves, and the story that the `demo` verb plays with it."""
