"""Baseline optimizers for flexnas-bench, plugged in by entry points like anybody's own."""
