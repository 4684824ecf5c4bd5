"""The searches behind Figure 3, and those with T2v behind Figure 4; `search_quality.py` makes the others.

    python benchmarks/experiments.py --jobs 2     # half an hour on two cores; what is finished is kept
    python benchmarks/experiments.py --seeds 3 --budget 12 --out small --draft

Figure 3: six methods search predicted scores with the noise of a training, in homogeneous cards and in G1, those that
look at vectors with one-hot ones and with T2v. Figure 4: those that look at vectors, and BOSHNAS without its parts,
search the trained encoders and predicted scores of G1 with T2v. For one seed all methods begin with the same ten cards
of their space. Runs and their cards go to data/runs/, where `flexnas-bench figures` finds them.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from search_quality import ABLATIONS
from shipping import ROOT, read, run, ship

from flexnas_bench.figures.paper.spaces import PANELS
from flexnas_bench.figures.paper.techniques import ABLATIONS as PARTS
from flexnas_bench.figures.paper.techniques import WITH_VECTORS


@dataclass(frozen=True)
class Experiment:
    """Searches of several methods on one problem.

    Attributes:
        name: of the shipped runs.
        settings: of all.
        methods: settings of each, by what its runs are called.
        seeds: how many.
    """

    name: str
    settings: Mapping[str, Any]
    methods: Mapping[str, Mapping[str, Any]]
    seeds: int = 20


#: Seconds that it takes to see that searches were finished before.
READING = 2.0
T2V = {"embedding": "t2v-g1-d16"}
EXPERIMENTS = [
    *(
        Experiment(
            panel.runs,
            {"budget": 40, "noisy": True, **panel.search},
            {name: {"optimizer": name} for name in panel.methods},
            50,
        )
        for panel in PANELS
    ),
    *(
        Experiment(
            f"{space}-t2v",
            {"space": space, "budget": 100, **T2V},
            {f"{name}, T2v": {"optimizer": name} for name in WITH_VECTORS},
        )
        for space in ("pool", "g1")
    ),
    *(
        Experiment(
            f"{space}-ablations-t2v",
            {"space": space, "budget": 40, "optimizer": "boshnas", **T2V},
            {f"{name}, T2v": ABLATIONS[name] for name in PARTS.values()},
        )
        for space in ("pool", "g1")
    ),
]


def main() -> None:
    """Runs, and ships."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, help="in place of 50 and 20")
    parser.add_argument("--budget", type=int, help="in place of 40 and 100 evaluations")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "experiments")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in EXPERIMENTS], help="some of them")
    parser.add_argument("--draft", action="store_true", help="ship nothing")
    options = parser.parse_args()
    chosen = [one for one in EXPERIMENTS if options.only is None or one.name in options.only]
    took, all_of_them = list[float](), sum(len(one.methods) for one in chosen)
    for one in chosen:
        folders = {}
        for name, own in one.methods.items():
            settings = {**one.settings, **own, **({"budget": options.budget} if options.budget else {})}
            begun = time.monotonic()
            folders[name] = run(options.out / one.name, name, settings, options.seeds or one.seeds, options.jobs)
            took.append(time.monotonic() - begun)
            left = mean([seconds for seconds in took if seconds > READING] or took) * (all_of_them - len(took))
            print(f"{len(took)} of {all_of_them} done, about {left / 60:.0f} min left", flush=True)
        comparison = read(folders)
        if not (options.draft or options.seeds or options.budget):
            ship(one.name, comparison, folders)
        for name, table in comparison.judged.items():
            print(f"{one.name}, {name}: {table.iloc[:, -1].mean():.3f} at the end")


if __name__ == "__main__":  # processes of search_seeds import this file again
    main()
