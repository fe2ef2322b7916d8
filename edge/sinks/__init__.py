"""Where results go. `open_sink(uri)` knows every kind by the scheme of its URI."""
