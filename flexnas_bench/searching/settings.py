"""What a search is: everything that decides its proposals, so that a folder knows whose it is."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import RunMismatchError, shown
from flexnas_bench.optimizers.base import INITIAL
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8
from flexnas_bench.storage import claim

SETTINGS_FILE = "settings.json"
_DIGESTS = {
    "space_digest": "its space has other cards",
    "embedding_digest": "its file of vectors has changed since",
    "optimizer_digest": "the source of the optimizer has changed since",
    "scores_digest": "the cards of its space had other scores, or scores of another origin",
}


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search, the same for all its seeds.

    Attributes:
        optimizer: name of an installed optimizer, or `module:Class`.
        space: name of the design space.
        task: task whose score is maximised.
        protocol: training recipe.
        kind: `"table"`, scores of trained cards, or `"surrogate"`, predicted ones.
        noisy: whether predictions are drawn as a training would draw them.
        embedding: name of an embedding, for optimizers that use one.
        workers: simulated workers.
        overlap: the overlap fraction from which on weights are transferred, `None` if never.
        budget: of a search of several levels, which share it; `None` if there is one, whose budget may grow.
        initial: how many cards to draw before the optimizer proposes, the name of a starting set, or their hashes.
        options: the optimizer's own options, where they differ from their defaults.
        space_digest: of what the space consists of, so that two of one name are told apart.
        embedding_digest: of a file of vectors, if that is the embedding.
        scores_digest: of the scores of its cards, so that no two tables are mixed in one folder.
        optimizer_digest: of the optimizer's source, so that no run goes on with another algorithm than it began with.
        version: of flexnas-bench.
    """

    optimizer: str
    space: str = "pool"
    task: str = GLUE8
    protocol: str = DEFAULT_PROTOCOL
    kind: str = "table"
    noisy: bool = False
    workers: int = 1
    overlap: float | None = None
    budget: str | None = None
    embedding: str = OneHot.name
    initial: int | str | list[str] = INITIAL
    options: dict[str, Any] = field(default_factory=dict)
    space_digest: str = ""
    embedding_digest: str = ""
    scores_digest: str = ""
    optimizer_digest: str = ""
    version: str = field(default_factory=lambda: version("flexnas-bench"))

    @property
    def label(self) -> str:
        """A short name for a folder: what is searched, and a digest of all that is not as usual."""
        digests = {name: getattr(self, name) for name in _DIGESTS}
        usual = SearchSettings(self.optimizer, self.space, self.task, kind=self.kind, **digests)
        predicted = "-predicted" if self.kind == "surrogate" else ""
        name = re.sub("[:/,]", "-", f"{self.optimizer}-{self.space}-{self.task}{predicted}")
        return name if self == usual else f"{name}-{sha256(self._json().encode()).hexdigest()[:8]}"

    def claim(self, out: Path) -> None:
        """Writes the settings into a new folder, or checks that they are those of an old one.

        Raises:
            RunMismatchError: the folder holds a search with other settings, or something else altogether.
        """
        self._compare(out / SETTINGS_FILE, claim(out, SETTINGS_FILE, self._json().encode(), "search"))

    def _json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    def _compare(self, path: Path, content: bytes) -> None:
        try:
            there = json.loads(content)
        except ValueError:
            there = None
        if not isinstance(there, dict):
            raise RunMismatchError(f"{path} is not readable as settings of a search")
        for name, mine in json.loads(self._json()).items():
            if there.get(name) != mine:
                what = _DIGESTS.get(name) or f"its {name} is {shown(there.get(name))}, not {shown(mine)}"
                raise RunMismatchError(f"{path.parent} holds another search: {what}; name another folder with --out")
