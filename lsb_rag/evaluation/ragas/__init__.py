"""RAGAS's metrics, with and without a judge, with guards against their quirks."""
