"""Faces: what a user meets, the command line, the report, files."""
