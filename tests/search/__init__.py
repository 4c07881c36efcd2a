"""A search for what goes wrong at the edges: commands that nobody would type, files that nobody would write, kills, and
streams that fail.

Every case follows from the name of its hunt and a number, so that ``python -m search HUNT NUMBER``, in the folder of the
tests, plays it again and shows what it did. What counts as a fault: a traceback, more than `PATIENCE` seconds, an exit
code that is not documented, a refusal that is no single line, a result that has changed and nobody said so.
"""
