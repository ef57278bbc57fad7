"""The sentences of passages: what of a passage can be quoted, and the vectors of these units."""
