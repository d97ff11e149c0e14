"""Runs that break a real service in every way there is and count what it lost: `make chaos`.

`python -m faults` is the long form; tests/chaos runs pieces of the same. Each unit has a seed,
which decides all that chance decides, and is kept with its counts as soon as it has ended, so that
a run which is interrupted goes on where it was.
"""
