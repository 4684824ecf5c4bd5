"""Writes docs/findings.md: what the shipped scores and runs say about claims of the FlexiBERT paper.

    python benchmarks/findings.py                 # a minute
    python benchmarks/findings.py --out FILE

Every number and every verdict of the page is computed here from data/; what the paper's text says stands beside it.
"""

import argparse
from pathlib import Path

from findings_of_cards import mixing, predicted_best, rules
from findings_of_searches import (
    RUNS,
    Runs,
    ablations,
    published_parts,
    richer_searches,
    vector_searches,
    vectors_without_noise,
)
from shipping import ROOT
from wording import Section, table, together

from flexnas_bench import Benchmark, load_benchmark, load_published
from flexnas_bench.results import GLUE8
from flexnas_bench.searching.shipped_runs import shipped_runs
from flexnas_bench.storage import write_bytes


def page(bench: Benchmark, runs: Runs) -> str:
    """All of it."""
    sections = [
        Section("## 1. Does a richer space help?"),
        richer_searches(bench, runs),
        predicted_best(bench),
        mixing(bench),
        Section("## 2. Does Transformer2vec help a search?"),
        vector_searches(bench, runs),
        *vectors_without_noise(bench, runs),
        Section(together("## 3. Do second-order gradients and a heteroscedastic model help?", published_parts())),
        *ablations(bench, runs),
        rules(bench),
    ]
    claims = [claim for section in sections for claim in section.claims]
    blocks = [begin(), table(["question", "the paper", "here, points", "verdict"], claims)]
    return "\n\n".join([*blocks, *(section.text for section in sections), sources(bench)]) + "\n"


def begin() -> str:
    """What comes before the summary."""
    return together(
        "# Findings",
        "What the scores and runs shipped here say about claims of the FlexiBERT paper (Tuli et al., JAIR 77, 2023). "
        "`python benchmarks/findings.py` makes this page from `data/`, with all numbers and verdicts.",
        f"- Effects are in points of {GLUE8} (the mean of eight tasks, x100) with 90 % intervals, positive where the "
        "paper says so. A claim *agrees* with what is here where the whole interval is above zero, *disagrees* where "
        "it is below, and is *open* otherwise, and where p, that of Wilcoxon's signed-rank test over seeds, is 0.1 or "
        "more. Several verdicts are in the order of their effects. Of so many intervals one in ten would miss zero if "
        "there was nothing to find; those of one search at several evaluations, and of one method, go together.\n"
        "- Scores of the paper are means of nine tasks, of another training recipe, and not public. So directions are "
        "compared, and not sizes.\n"
        "- Predicted scores are a model's, of cards that nobody trained; each section says which scores it has.\n"
        "- Intervals of searches are over seeds: how the result varies when the search is run again on the same "
        "scores. They hold neither the error of predictions nor, on trained cards, the noise of a training. Intervals "
        "of regressions are over cards, and hold that noise.",
        "## In short",
    )


def sources(bench: Benchmark) -> str:
    """Citation and licence of the scores, and of what is quoted."""
    keys = (bench.best(GLUE8).source, str(load_published("fig3")["source"].iloc[0]))
    lines = [f"- `{key}`: {bench.sources[key]['citation']} Licence: {bench.sources[key]['licence']}." for key in keys]
    return together("## Sources", "\n".join(lines))


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "findings.md", metavar="FILE")
    options = parser.parse_args()
    write_bytes(options.out, page(load_benchmark(), {name: shipped_runs(name) for name in RUNS}).encode())
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
