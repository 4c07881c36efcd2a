"""Samples: vectors and pictures, in memory or on disk."""
