"""Predictors: vectors in, mean and spread out."""
