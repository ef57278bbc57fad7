"""The demo: the standard library's documentation, questions about it, and a comparison of retrievers."""
