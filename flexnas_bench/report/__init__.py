"""The explorer: a space, its scores and searches of it as one page that needs no network."""
