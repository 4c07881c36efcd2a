"""Baselines: what a trained game has to beat."""
