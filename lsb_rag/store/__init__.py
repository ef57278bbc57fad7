"""Passages and their vectors in Chroma, which is imported here and in ``embedding_function`` alone."""
