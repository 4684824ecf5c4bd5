"""How near two architectures are: graph edit distance with the paper's costs (section 3.3.1)."""
