"""Figures of others: read from files, checked, and made into the shipped tables."""
