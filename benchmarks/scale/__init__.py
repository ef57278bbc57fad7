"""Costs and quality as a collection grows."""
