"""Reports of an evaluation: words, Markdown, HTML and JSON."""
