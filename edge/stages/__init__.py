"""The three steps of the loop: detect, embed, match."""
