"""Passages and their vectors in Chroma, alone in knowing it."""
