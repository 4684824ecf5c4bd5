"""Training: data, pre-training, fine-tuning."""
