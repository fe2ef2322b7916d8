"""System 2: cat or dog, and where its face is; or any two things, and where they are."""
