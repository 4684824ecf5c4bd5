"""Training: tasks, text, batches, recipes and pre-training."""
