"""Other ways to find neighbours, to compare the index with: libraries and local databases.

They are no part of facematch: each is used where it is installed, in a process of its own.
"""
