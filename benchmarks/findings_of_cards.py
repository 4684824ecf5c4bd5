"""Sections of docs/findings.md about cards: the best predicted ones, and what trained ones have in common."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from wording import Claim, Section, cell, judged, table, together, verdict

from flexnas_bench import Benchmark, EncoderLayer, ModelCard, load_space
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8, PREDICTED
from flexnas_bench.searching.analysis import CONFIDENCE
from flexnas_bench.surrogate.judging import Interval
from flexnas_bench.surrogate.table import shipped_predictions
from flexnas_bench.surrogate.trained import Trained

Array = NDArray[np.float64]
RESAMPLES = 4_000

#: What the text of the paper says, as published.
BEST_RICHER = "3 % better than the best homogeneous model (section 4.3)"
SMALLER = "2.6x smaller"
MIXED = "the best models of the expanded space outperform homogeneous ones of as many parameters (section 4.3)"
#: Where what is computed here is another question than the paper's, or too unsure to be an answer.
UNDECIDED = "no verdict"
PREFERRED = "DCT; more heads and a smaller hidden size; wider and fewer feed-forward networks"


def predicted_best(bench: Benchmark) -> Section:
    """The best of G1 against the best homogeneous card, as predicted."""
    cards = shipped_predictions(GLUE8, DEFAULT_PROTOCOL)
    cards = cards.assign(millions=[bench.card(digest).parameters / 1e6 for digest in cards.index])
    spaces = {"homogeneous": cards[cards.index.isin([card.hash for card in load_space("homogeneous")])], "G1": cards}
    plain, best = (space.loc[space["mean"].idxmax()] for space in spaces.values())
    effect, most = predicted_difference(plain, best)
    equal = cards[cards["mean"] >= plain["mean"]]["millions"].min()
    rows = [
        [name, f"{len(space):,}", f"{row['mean']:.2f}", f"{row['epistemic_std']:.2f}", f"{row['millions']:.2f}M"]
        for (name, space), row in zip(spaces.items(), (plain, best), strict=True)
    ]
    text = together(
        "### Predicted scores of all cards",
        f"Scores: {GLUE8} of `g1`, origin {PREDICTED}, protocol `{DEFAULT_PROTOCOL}`; source the surrogate of "
        f"`{bench.query(str(cards.index[0]), kind='surrogate').source}`. Nobody trained these cards. The epistemic "
        "deviation says how unsure the surrogate is of what a card scores on average.",
        table(["space", "cards", "best predicted", "epistemic deviation", "parameters"], rows),
        f"The paper: {BEST_RICHER}. Here the best of G1 is predicted {effect.value:+.2f} points higher, "
        f"{100 * effect.value / plain['mean']:+.2f} %. G1 holds the homogeneous cards, so it could not be lower, and "
        "the best of many predictions is partly luck. The deviation of the difference is at most the sum of both, "
        f"{most:.2f}, if their errors are opposite; with that the 90 % interval is {effect.low:+.2f} to "
        f"{effect.high:+.2f}. An interval that is too wide decides nothing, so there is no verdict.",
        f"The smallest card of G1 that is predicted at least as good as the best homogeneous one has {equal:.2f}M "
        f"parameters, {plain['millions'] / equal:.2f}x smaller (predicted). The paper: {SMALLER}.",
    )
    return Section(text, [Claim("1. Richer space: best card", BEST_RICHER, f"{cell(effect)}, predicted", UNDECIDED)])


def predicted_difference(one: pd.Series, other: pd.Series) -> tuple[Interval, float]:
    """What another card is predicted to have more, and the largest deviation that this may have: the sum of both."""
    middle, most = float(other["mean"] - one["mean"]), float(one["epistemic_std"] + other["epistemic_std"])
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * most
    return Interval(middle, middle - reach, middle + reach), most


#: What a layer may have. Of operations with their parameters SDP is what is left, so its effect is zero.
FEATURES: Mapping[str, Callable[[EncoderLayer], bool]] = {
    "WMA": lambda layer: layer.parameter == "WMA",
    "DFT": lambda layer: layer.parameter == "DFT",
    "DCT": lambda layer: layer.parameter == "DCT",
    "kernel 5": lambda layer: layer.parameter == 5,
    "kernel 9": lambda layer: layer.parameter == 9,
    "four heads": lambda layer: layer.heads == 4,
    "wide": lambda layer: layer.feed_forward[0] == 1024,
    "single": lambda layer: len(layer.feed_forward) == 1,
}
DCT = {"DCT": 1.0, **dict.fromkeys(("WMA", "DFT", "kernel 5", "kernel 9"), -1 / 5)}
#: Rules of section 4.4 as weighted features.
RULES: Mapping[str, Mapping[str, float]] = {
    "DCT, not another operation": DCT,
    "four heads, not two": {"four heads": 1.0},
    "feed-forward networks 1024 wide, not 512": {"wide": 1.0},
    "one feed-forward network, not three": {"single": 1.0},
    "all four": {**DCT, "four heads": 1.0, "wide": 1.0, "single": 1.0},
}
CONTRASTS = {**RULES, "DCT, not DFT": {"DCT": 1.0, "DFT": -1.0}}
MIXES: Mapping[str, Callable[[EncoderLayer], object]] = {
    "operations": lambda layer: layer.operation,
    "heads": lambda layer: layer.heads,
    "feed-forward stacks": lambda layer: layer.feed_forward,
}
HALVES = ("shallower", "deeper")
MOVED, DEEPER, SHALLOWER = "deeper rather than shallower", "in the deeper half", "in the shallower half"
WHERE: Mapping[str, Mapping[str, float]] = {
    MOVED: {"deeper": 1.0, "shallower": -1.0},
    DEEPER: {"deeper": 1.0},
    SHALLOWER: {"shallower": 1.0},
}
#: Weights of columns of `trained_cards`, by what their sum is called.
Weights = Mapping[Hashable, Mapping[str, float]]


def trained_cards(trained: Sequence[Trained]) -> pd.DataFrame:
    """A row a card with a training that did not fail: score, and what its two halves have."""
    return pd.DataFrame([{"score": one.fine, **described(one.card)} for one in trained if one.scores])


def described(card: ModelCard) -> dict[str, object]:
    """Depth, hidden size, the share of layers of each half that have a feature, and how many values a card mixes."""
    middle = card.num_layers // 2
    halves = dict(zip(HALVES, (card.layers[:middle], card.layers[middle:]), strict=True))
    shares = {
        f"{half} {name}": sum(map(has, layers)) / len(layers)
        for half, layers in halves.items()
        for name, has in FEATURES.items()
    }
    mixed = {f"mixed {name}": len(set(map(value, card.layers))) for name, value in MIXES.items()}
    return {"depth": card.num_layers, "hidden": card.layers[0].hidden, **shares, **mixed}


def samples(cards: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The cards that are looked at, by name."""
    deep = cards[cards["depth"] == 4]
    return {
        "all": cards,
        "two layers": cards[cards["depth"] == 2],
        "four layers": deep,
        "four layers, 256 wide": deep[deep["hidden"] == 256],
    }


def effects(cards: pd.DataFrame, weights: Weights, mixed: bool = False) -> list[Interval]:
    """Sums of weighted effects of what halves have, in points.

    By least squares with a level for each depth and hidden size, so that no effect is one of size.

    Args:
        cards: as `trained_cards`.
        weights: of columns, for each sum.
        mixed: whether what cards mix counts beside the features.
    """
    columns = [f"{half} {name}" for half in HALVES for name in FEATURES]
    columns += [f"mixed {name}" for name in MIXES] if mixed else []
    levels = pd.get_dummies(cards["depth"] * 10_000 + cards["hidden"])
    x = np.hstack([levels.to_numpy(np.float64), cards[columns].to_numpy(np.float64)])
    chosen = pd.DataFrame(list(weights.values()), columns=[*levels.columns, *columns]).fillna(0.0)
    return combinations(x, cards["score"].to_numpy(np.float64), chosen.to_numpy(np.float64))


def combinations(x: Array, y: Array, weights: Array) -> list[Interval]:
    """Linear combinations `(m, p)` of the least-squares coefficients of `y` `(n,)` on `x` `(n, p)`.

    Intervals are 90 % percentiles of rows drawn again; they hold the noise of `y`, whether or not it is the same
    everywhere.
    """
    n, p = x.shape
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    products = x[:, :, None] * np.column_stack([x, y])[:, None, :]
    moments = (times @ products.reshape(n, -1)).reshape(-1, p, p + 1)
    drawn = np.linalg.solve(moments[:, :, :p], moments[:, :, p:])[:, :, 0] @ weights.T
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    value = weights @ np.linalg.lstsq(x, y)[0]
    return [Interval(*map(float, one)) for one in zip(value, low, high, strict=True)]


def across(cards: pd.DataFrame, weights: Weights, mixed: bool = False) -> pd.DataFrame:
    """Effects in each sample: a row a sum, a column a sample."""
    found = {name: effects(some, weights, mixed) for name, some in samples(cards).items()}
    return pd.DataFrame({name: pd.Series(dict(zip(weights, column, strict=True))) for name, column in found.items()})


def by_half() -> Weights:
    """The rules as weights of columns, by where it is that they ask for something and by their names."""
    return {
        (where, rule): {f"{half} {name}": sign * weight for half, sign in halves.items() for name, weight in of.items()}
        for where, halves in WHERE.items()
        for rule, of in CONTRASTS.items()
    }


def effect_table(head: str, found: pd.DataFrame, cards: pd.DataFrame, show: Callable[[Interval], str]) -> str:
    """A row a sum, a column a sample with its number of cards."""
    sizes = [f"{name} ({len(some)})" for name, some in samples(cards).items()]
    return table([head, *sizes], [[str(name), *map(show, row)] for name, row in found.iterrows()])


def trained_scores(bench: Benchmark) -> str:
    """Origin, protocol and source of the scores of trained cards."""
    best = bench.best(GLUE8)
    return f"Scores: {GLUE8}, origin {best.origin}, protocol `{best.protocol}`; source `{best.source}`."


def mixing(bench: Benchmark) -> Section:
    """Whether trained cards that mix more do better than what their layers are worth one by one."""
    cards = trained_cards(bench.trained())
    found = across(cards, {name: {f"mixed {name}": 1.0} for name in MIXES}, mixed=True)
    claims = [
        Claim(f"1. Richer space: mixed {name}", MIXED, f"four layers, mean effect: {cell(effect)}", UNDECIDED)
        for name, effect in found["four layers"].items()
    ]
    text = together(
        "### Mixing, on trained cards",
        f"{trained_scores(bench)} The paper: {MIXED}. Points for one more operation, number of heads or feed-forward "
        "stack in a card, by the regression of section 4, in which each half of a card has what its layers are worth: "
        "at zero, a mixed card is worth what its layers are. This is about mixed cards in the mean, and the paper's "
        "claim about the best, so there are no verdicts.",
        effect_table("one more of", found, cards, cell),
    )
    return Section(text, claims)


def rules(bench: Benchmark) -> Section:
    """The rules of section 4.4."""
    trained = bench.trained()
    cards = trained_cards(trained)
    found = across(cards, by_half())
    moved, deeper = found.loc[MOVED], found.loc[DEEPER]
    chosen = ["two layers", "four layers", "four layers, 256 wide"]
    shown = {MOVED: judged, DEEPER: judged, SHALLOWER: cell}  # the paper says nothing of shallower layers
    claims = [
        Claim(
            f"4. In deeper layers: {rule}",
            "preferable (section 4.4)",
            "; ".join(f"{name}: {cell(moved.loc[rule, name])}, {cell(deeper.loc[rule, name])}" for name in chosen),
            ", ".join(together_say(moved.loc[rule, name], deeper.loc[rule, name]) for name in chosen),
        )
        for rule in RULES
    ]
    text = together(
        "## 4. Which rules for good cards hold on trained cards?",
        method(bench, trained, cards, found.size),
        *(effect_table(where, found.loc[where], cards, show) for where, show in shown.items()),
        *failures(trained),
    )
    narrow = Claim("4. In deeper layers: smaller hidden size", "preferable (section 4.4)", "", "no such trained cards")
    return Section(text, [*claims, narrow])


def together_say(moved: Interval, deeper: Interval) -> str:
    """The verdict on a rule, which needs both effects; one that is below zero is enough against it."""
    said = {verdict(moved), verdict(deeper)}
    return "disagrees" if "disagrees" in said else "open" if "open" in said else "agrees"


def method(bench: Benchmark, trained: Sequence[Trained], cards: pd.DataFrame, count: int) -> str:
    """How the effects are estimated, and of what."""
    failed = sum(len(one.failed_scores) for one in trained)
    flexible = sum(len({layer.hidden for layer in one.card.layers}) > 1 for one in trained)
    return (
        f"{trained_scores(bench)} {sum(one.trainings for one in trained)} trainings of {len(trained)} cards, of which "
        f"{failed} failed (`surrogate/failures.py`) and are apart, below; {len(cards)} cards are left.\n\n"
        f"The paper reads three rules off its best cards (section 4.4), without effect sizes. In deeper layers it "
        f"prefers: {PREFERRED}.\n\n"
        "- Least squares of the score on what each half of a card has: the share of its layers with each operation and "
        "parameter, with four heads, with wide and with single feed-forward networks; and a level for each depth and "
        "hidden size. Replicates of a card are averaged. Intervals are over cards, drawn again.\n"
        "- *In the deeper half* is what a card gains if all layers of that half have it and none had, the other half "
        "being as it is. *Deeper rather than shallower* is what it gains if its deeper half has it and its shallower "
        "half does not, and not the other way round: as many layers have it, and there are as many parameters. A rule "
        "about deeper layers needs both, in this order in the summary, and one below zero is against it. What helps in "
        "either half alike is no such rule.\n"
        "- The paper's best cards have four layers; a card of two has halves of one. Columns share cards, and *all* is "
        "a mean over depths whose effects differ.\n"
        f"- {flexible} of the {len(trained)} cards have layers of different hidden sizes, so a smaller hidden size of "
        "deeper layers cannot be tested. Heads are tested at one hidden size.\n"
        "- Predictions are no evidence here, as they follow from these same scores. The surrogate is not asked.\n"
        f"- Of the {count} intervals one in ten would miss zero if there were no effects at all."
    )


def failures(trained: Sequence[Trained]) -> list[str]:
    """How often trainings fail, by what the last layer has, for depths at which any failed: a sentence and a table."""
    depths = sorted({one.card.num_layers for one in trained if one.failed_scores})
    rows = []
    for name in ("DCT", "four heads", "wide", "single"):
        cells = []
        for has in (True, False):
            some = [t for t in trained if t.card.num_layers in depths and FEATURES[name](t.card.layers[-1]) is has]
            bad, tried = sum(len(t.failed_scores) for t in some), sum(t.trainings for t in some)
            low, high = binomtest(bad, tried).proportion_ci(CONFIDENCE, "wilson")
            cells.append(f"{bad} of {tried}: {100 * bad / tried:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
        rows.append([name, *cells])
    return [
        f"All trainings that failed are of cards of {' or '.join(map(str, depths))} layers. How often they failed, by "
        "what the last layer has (90 % intervals by Wilson):",
        table(["last layer", "with it", "without it"], rows),
    ]
