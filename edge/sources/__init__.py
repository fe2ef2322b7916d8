"""Where frames come from. `open_source(uri)` knows every kind by the look of its URI."""
