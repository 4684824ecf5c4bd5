"""Filling the table: many cards trained, in a good order, on one machine or on many."""
