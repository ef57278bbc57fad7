"""Corpus statistics: what is counted of a collection's passages, in memory and on disk."""
