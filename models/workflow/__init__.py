"""System 5: from a pile of data to a model, step by step, each of which says whether it was passed."""
