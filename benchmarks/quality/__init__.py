"""Quality of retrieval and of answers."""
