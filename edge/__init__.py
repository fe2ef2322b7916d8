"""Detect, embed and match what a camera sees, every frame, inside a latency budget."""

__version__ = "0.1.0"
