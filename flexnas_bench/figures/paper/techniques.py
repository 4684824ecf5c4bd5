"""Names of methods in the paper and here."""

TECHNIQUES = {
    "RS": "random",
    "ES": "evolution",
    "REINFORCE": "reinforce",
    "GP-BO": "gp-bo",
    "BANANAS": "bananas",
    "BOSHNAS": "boshnas",
}
#: Those that look at vectors of cards; runs of the others are the same whatever the embedding.
WITH_VECTORS = ("gp-bo", "bananas", "boshnas")
ABLATIONS = {
    "BOSHNAS": "boshnas",
    "W/o 2nd-order grad": "without second order",
    "W/o heteroscedastic": "without heteroscedasticity",
}
OURS = {**TECHNIQUES, **ABLATIONS}
