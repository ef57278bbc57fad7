"""RAGAS: its metrics with and without a judge, their quirks guarded."""
