"""Search: an optimizer meets a benchmark, and somebody keeps the score."""
