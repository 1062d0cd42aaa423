"""Reading copies back: all of them onto a bare machine, or a sample to compare."""
