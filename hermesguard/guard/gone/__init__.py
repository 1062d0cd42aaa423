"""Sessions whose file is gone: the evidence, what is done about it, and the brake when it is too many at once."""
