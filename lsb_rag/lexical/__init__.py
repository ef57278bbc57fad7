"""The lexical half: the units of a text, and what a unit is worth."""
