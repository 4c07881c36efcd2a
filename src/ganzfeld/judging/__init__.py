"""Judging: what samples, codes and rankings are worth, and what they are to be held against."""
