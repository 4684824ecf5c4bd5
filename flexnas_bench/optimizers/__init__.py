"""Optimizers: who proposes the next card. They know the space and what they were told, never the tables."""
