"""Measurements of quality, speed, growth and behaviour on a server; each script runs as a module."""
