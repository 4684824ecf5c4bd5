"""Names of methods in the paper and here, each with its colour and its mark."""

from flexnas_bench.figures.saving import COLOURS, METHODS

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
TECHNIQUE_COLOURS = {**METHODS, "without second order": COLOURS[0], "without heteroscedasticity": COLOURS[2]}
TECHNIQUE_MARKS = dict(zip(dict.fromkeys(OURS.values()), "osv^DPXd", strict=True))
