"""LexSemBridge beside its peers: sets, kept vectors, arms and tables of :mod:`benchmarks.quality.peers`."""
