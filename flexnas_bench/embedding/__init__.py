"""A vector for every card, so that surrogates have something to learn on (section 3.3)."""
