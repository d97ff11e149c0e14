"""Measurements and checks over large image sets: `python -m benchmarks NAME`."""
