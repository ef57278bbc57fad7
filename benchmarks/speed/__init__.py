"""Time and memory of single steps: starting, embedding, encoding a query, training."""
