"""Everything that can happen to a few sessions, to their servers and to the guard, beside what each user meant.

talks is the model of a session, world what it lives in, invariants what must hold; acts, faults and guarding are what may happen.
"""
