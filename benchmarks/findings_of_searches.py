"""Sections of docs/findings.md about searches: richer spaces, vectors, and parts of BOSHNAS."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from wording import Claim, Section, cell, judged, likely, table, together, verdict

from flexnas_bench import Benchmark, load_published, load_space
from flexnas_bench.figures.paper.techniques import TECHNIQUES, WITH_VECTORS
from flexnas_bench.results import PREDICTED
from flexnas_bench.searching.analysis import estimate, paired_difference, paired_test
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.surrogate.judging import Interval

Runs = Mapping[str, Comparison]
RUNS = (
    *(f"figure-3{letter}" for letter in "abc"),
    *(f"{space}{what}" for space in ("pool", "g1") for what in ("", "-t2v", "-ablations", "-ablations-t2v")),
)
METHODS = tuple(TECHNIQUES.values())
STEPS = (20, 40, 100)

#: What the text of the paper says, as published.
RICHER = "6 % better, averaged across all models (section 4.3)"
VECTORS = "9 % better on average (section 4.3)"
BOSHNAS_AHEAD = "13 %"
FAVOURED = (
    "The predictions are a process over weighted one-hot features, which may favour searches with one-hot vectors."
)
PARTS = {
    "second order": "needed, converges faster (section 4.3)",
    "heteroscedasticity": "needed (section 4.3)",
}


class Gain(NamedTuple):
    """Points that one has more than another by paired seeds, and p of Wilcoxon's signed-rank test."""

    effect: Interval
    p: float


def gain(one: pd.DataFrame, other: pd.DataFrame, step: int) -> Gain:
    """What runs have more than others of the same seeds after so many evaluations."""
    difference = paired_difference(one, other)[step].to_numpy()
    found = estimate(difference)
    return Gain(Interval(float(found.mean), float(found.low), float(found.high)), paired_test(difference))


def mean_of(runs: Comparison, methods: Sequence[str]) -> pd.DataFrame:
    """Mean over methods of what they are judged by at their ends, or so far: a row a seed and a column a step."""
    return sum((runs.judged_at_end[name] for name in methods[1:]), runs.judged_at_end[methods[0]]) / len(methods)


def last_step(runs: Comparison) -> int:
    """The last evaluation that all methods have."""
    return min(int(frame["step"].max()) for frame in runs.frames.values())


def about(bench: Benchmark, runs: Comparison) -> str:
    """Origin, protocol and source of the scores of runs, what is judged, and the number of seeds."""
    frame, problem = next(iter(runs.frames.values())), runs.problem
    (origin,) = frame["origin"].unique()
    result = bench.query(str(frame["card_hash"].iloc[0]), problem["task"], problem["protocol"], problem["kind"])
    return (
        f"Scores: {problem['task']} of `{problem['space']}`, origin {origin}"
        f"{', each drawn with the noise of a training' if problem['noisy'] else ''}, protocol `{problem['protocol']}`; "
        f"source {'the surrogate of ' if origin == PREDICTED else ''}`{result.source}`. Judged by: "
        f"{'expected value of the card recommended' if problem['noisy'] else 'best score so far'}; "
        f"{min(frame['seed'].nunique() for frame in runs.frames.values())} seeds."
    )


def bars(letters: str, methods: Sequence[str]) -> pd.DataFrame:
    """Figure 3 of the paper, on its scale from 0 to 1: a row a method, a column a panel."""
    found = load_published("fig3").pivot(index="technique", columns="panel", values="glue_score")
    return found.rename(index=TECHNIQUES).loc[list(methods), list(letters)]


def percent(first: Iterable[float], second: Iterable[float]) -> float:
    """By how many percent the second are higher, mean over methods."""
    return 100 * float(np.mean([after / before - 1 for before, after in zip(first, second, strict=True)]))


def panels(first: Comparison, second: Comparison, letters: str, methods: Sequence[str]) -> tuple[str, Gain, float]:
    """Two panels of Figure 3: a row a method, and the gain of the mean of all of these, also in percent."""
    step = min(map(last_step, (first, second)))
    theirs = bars(letters, methods)
    rows, ends = [], {}
    for name in methods:
        found = gain(second.judged_at_end[name], first.judged_at_end[name], step)
        ends[name] = [float(one.judged_at_end[name][step].mean()) for one in (first, second)]
        published = 100 * (theirs.loc[name, letters[1]] - theirs.loc[name, letters[0]])
        values = (f"{end:.2f}" for end in ends[name])
        rows.append([name, *values, judged(*found), likely(found.p), f"{published:+.1f}"])
    whole = gain(mean_of(second, methods), mean_of(first, methods), step)
    published = 100 * (theirs[letters[1]] - theirs[letters[0]]).mean()
    rows.append(["mean", "", "", judged(*whole), likely(whole.p), f"{published:+.1f}"])
    less = f"({letters[1]}) less ({letters[0]})"
    head = ["method", f"({letters[0]})", f"({letters[1]})", less, "p", f"{less}, x100, as published"]
    return table(head, rows), whole, percent(*zip(*ends.values(), strict=True))


def with_p(found: Gain) -> str:
    """A gain with its interval and its p value."""
    return f"{cell(found.effect)}, p {likely(found.p)}"


def richer_searches(bench: Benchmark, runs: Runs) -> Section:
    """Figure 3(a) against Figure 3(b)."""
    first, second = runs["figure-3a"], runs["figure-3b"]
    found, whole, higher = panels(first, second, "ab", METHODS)
    theirs = bars("ab", METHODS)
    text = together(
        "### Searches of homogeneous cards and of G1",
        f"{about(bench, second)} With one-hot vectors, after {last_step(second)} evaluations of (a) homogeneous cards, "
        "(b) G1. The first cards of a seed differ between the spaces, so pairing takes away little.",
        found,
        f"The paper: {RICHER}; its bars are {percent(theirs['a'], theirs['b']):.1f} % higher in (b) in the mean. Here "
        f"it is {higher:+.2f} %: {verdict(*whole)}.",
    )
    claim = Claim("1. Richer space: searches", RICHER, f"mean of all {with_p(whole)}", verdict(*whole))
    return Section(text, [claim])


def vector_searches(bench: Benchmark, runs: Runs) -> Section:
    """Figure 3(b) against Figure 3(c)."""
    first, second = runs["figure-3b"], runs["figure-3c"]
    found, whole, higher = panels(first, second, "bc", WITH_VECTORS)
    theirs, control = bars("bc", METHODS), bars("bc", [name for name in METHODS if name not in WITH_VECTORS])
    ahead = gain(second.judged_at_end["boshnas"], first.judged_at_end["bananas"], last_step(second))
    text = together(
        "### Searches of G1 with noise, predicted scores",
        f"{about(bench, second)} After {last_step(second)} evaluations with (b) one-hot vectors, (c) T2v; for one seed "
        f"with the same first cards. {', '.join(control.index)} look at no vectors: their runs are the same in both.",
        found,
        f"The paper: {VECTORS}; its bars are {percent(theirs['b'], theirs['c']):.1f} % higher in (c) in the mean of "
        f"all, and {percent(control['b'], control['c']):.1f} % in that of those that look at no vectors. Here "
        f"it is {higher:+.2f} % for those that look at vectors: {verdict(*whole)}. The paper has BOSHNAS with "
        f"T2v {BOSHNAS_AHEAD} higher than BANANAS with one-hot vectors; here the difference is {judged(*ahead)}.",
        FAVOURED,
    )
    here = f"mean of {', '.join(WITH_VECTORS)} {with_p(whole)}"
    return Section(text, [Claim("2. T2v: G1 with noise, predicted scores", VECTORS, here, verdict(*whole))])


def vectors_without_noise(bench: Benchmark, runs: Runs) -> list[Section]:
    """T2v against one-hot vectors on trained cards and on predicted scores of G1: Figure 4(a)."""
    found = []
    for name, where, note in (("pool", "trained cards", placed()), ("g1", "G1, predicted scores", FAVOURED)):
        plain, other = runs[name], runs[f"{name}-t2v"]
        named = [f"{method}, T2v" for method in WITH_VECTORS]
        tables = {
            **plain.judged,
            **other.judged,
            "mean": mean_of(plain, WITH_VECTORS),
            "mean, T2v": mean_of(other, named),
        }
        pairs = [Pair(method, f"{method}, T2v", method) for method in WITH_VECTORS]
        pairs.append(Pair("mean", "mean, T2v", "mean", f"2. T2v: {where}", VECTORS))
        begin = f"### Searches of {where}\n\n{together(about(bench, other), note)}"
        found.append(gains(begin, tables, pairs, "T2v less one-hot vectors"))
    return found


def placed() -> str:
    """What T2v sees of trained cards."""
    pool, g1 = load_space("pool"), load_space("g1")
    return (
        f"{sum(card not in g1 for card in pool)} of the {pool.size} cards are outside G1. T2v places them by the node "
        "part of their distances, which does not see the order of layers."
    )


class Pair(NamedTuple):
    """Two methods, the first of which has what the paper recommends; and a question of the summary, if it is one."""

    what: str
    one: str
    other: str
    question: str = ""
    paper: str = ""


def gains(begin: str, tables: Mapping[str, pd.DataFrame], pairs: Sequence[Pair], head: str) -> Section:
    """A table of what the first of each pair has more than the second, at `STEPS`, or at the end of shorter runs."""
    last = min(int(tables[name].columns.max()) for pair in pairs for name in (pair.one, pair.other))
    steps = [step for step in STEPS if step <= last] or [last]
    rows, claims = [], []
    for what, one, other, question, paper in pairs:
        found = [gain(tables[one], tables[other], step) for step in steps]
        rows.append([what, *(text for each in found for text in (judged(*each), likely(each.p)))])
        if question:
            here = "; ".join(f"at {step}: {with_p(each)}" for step, each in zip(steps, found, strict=True))
            claims.append(Claim(question, paper, here, ", ".join(verdict(*each) for each in found)))
    columns = [text for step in steps for text in (f"at {step}", "p")]
    return Section(together(begin, table([head, *columns], rows)), claims)


def ablations(bench: Benchmark, runs: Runs) -> list[Section]:
    """What parts of BOSHNAS gain, on trained cards and on predicted scores, with one-hot vectors and with T2v."""
    found = []
    for name, where in {"pool": "trained cards", "g1": "G1, predicted scores"}.items():
        tables = {**runs[f"{name}-ablations"].judged, **runs[f"{name}-ablations-t2v"].judged}
        pairs = [
            Pair(
                f"{part}, {vectors}",
                f"boshnas{ending}",
                f"without {part}{ending}",
                f"3. {part.capitalize()}: {where}, {vectors}",
                paper,
            )
            for vectors, ending in {"one-hot": "", "T2v": ", T2v"}.items()
            for part, paper in PARTS.items()
        ]
        begin = f"### BOSHNAS, searches of {where}\n\n{together(about(bench, runs[f'{name}-ablations']))}"
        found.append(gains(begin, tables, pairs, "BOSHNAS less BOSHNAS without"))
    return found


def published_parts() -> str:
    """What the paper's Figure 4(b) and Table 3 have for BOSHNAS more than for its ablations."""
    curves = load_published("fig4")
    curves = curves[curves["panel"] == "4b"].pivot(index="technique", columns="models_trained", values="best_glue")
    scores = load_published("table3").set_index("model")["Avg"]
    lines = []
    for part, (label, mark) in zip(PARTS, (("W/o 2nd-order grad", "S."), ("W/o heteroscedastic", "H.")), strict=True):
        less = curves.loc["BOSHNAS"] - curves.loc[label]
        points = scores["FlexiBERT-Mini"] - scores[f"FlexiBERT-Mini w/o {mark}"]
        lines.append(f"{part} {less[20]:+.2f} at 20 models and {less[40]:+.2f} at 40, {points:+.1f} in Table 3")
    return f"The paper's Figure 4(b), on its own scale, has {'; '.join(lines)} (a card found by each variant)."
