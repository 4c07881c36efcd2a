"""A search for what goes wrong at the edges: odd commands, damaged files, kills, and streams that fail.

Every case follows from the name of its hunt and a number, so that ``python -m search HUNT NUMBER``, in the folder of
the tests, plays it again and shows all that was said. What counts as a fault: a traceback, more than
`processes.PATIENCE` seconds, an exit code that is not documented, a refusal that is no single line or speaks the
machinery's language, a result that has changed and nobody said so.
"""
