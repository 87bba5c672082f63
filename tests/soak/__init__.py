"""The soak: everything at once on a real host, with kills; afterwards nothing is lost and nothing is left.

`python -m tests.soak --seconds N [--seed N] [--json FILE]`. What is chosen comes from the seed; when it happens does
not.
"""
