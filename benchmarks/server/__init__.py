"""Load and faults on a Chroma server."""
