"""The parts of a store that is for several sessions directories."""
