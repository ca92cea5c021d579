"""ascribe against programs written by hand, in each framework: ``python -m benchmarks.native [--commit] [--only WORD]``.

Each framework runs in a process of its own, on one processor and one thread. ``--commit`` writes ``docs/reports/native.md``.
"""
