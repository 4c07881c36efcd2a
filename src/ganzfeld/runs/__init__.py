"""Runs: what was asked for, the loop that plays it, and the directory it leaves."""
