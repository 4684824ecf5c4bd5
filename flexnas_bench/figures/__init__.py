"""Figures: they read runs and draw; nothing is computed here that a table would not show as well."""
