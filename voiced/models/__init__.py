"""Models on disk: where they are, what they are, and how they get there. No engine is imported."""
