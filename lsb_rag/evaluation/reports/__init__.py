"""An evaluation as Markdown, HTML, JSON and words."""
