"""Which names of the sessions directory changed."""
