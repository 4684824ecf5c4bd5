"""flexnas-bench: a tabular NAS benchmark for the FlexiBERT space of heterogeneous transformer encoders.

Names are imported when first used, so that `import flexnas_bench` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexnas_bench.answers import Result as Result
    from flexnas_bench.benchmark import Benchmark as Benchmark
    from flexnas_bench.card import ModelCard as ModelCard
    from flexnas_bench.distance.alignment import alignment_distance as alignment_distance
    from flexnas_bench.distance.ged import ged as ged
    from flexnas_bench.distance.overlap import biased_overlap as biased_overlap
    from flexnas_bench.distance.overlap import overlap_fraction as overlap_fraction
    from flexnas_bench.distance.pairs import ged_bounds as ged_bounds
    from flexnas_bench.embedding.base import Embedding as Embedding
    from flexnas_bench.embedding.loading import load_embedding as load_embedding
    from flexnas_bench.embedding.neighbors import Neighbor as Neighbor
    from flexnas_bench.embedding.neighbors import transfer_neighbors as transfer_neighbors
    from flexnas_bench.errors import BusyError as BusyError
    from flexnas_bench.errors import FlexnasError as FlexnasError
    from flexnas_bench.errors import GedNotExact as GedNotExact
    from flexnas_bench.errors import InvalidCardError as InvalidCardError
    from flexnas_bench.errors import InvalidSpaceError as InvalidSpaceError
    from flexnas_bench.errors import NotInSpaceError as NotInSpaceError
    from flexnas_bench.errors import NotMeasuredError as NotMeasuredError
    from flexnas_bench.errors import OptimizerFailedError as OptimizerFailedError
    from flexnas_bench.errors import OptionError as OptionError
    from flexnas_bench.errors import ProposalError as ProposalError
    from flexnas_bench.errors import ResultConflictError as ResultConflictError
    from flexnas_bench.errors import RunMismatchError as RunMismatchError
    from flexnas_bench.errors import SpaceExhaustedError as SpaceExhaustedError
    from flexnas_bench.errors import SpaceIndexError as SpaceIndexError
    from flexnas_bench.errors import TableCorruptError as TableCorruptError
    from flexnas_bench.errors import TransferRefusedError as TransferRefusedError
    from flexnas_bench.errors import WeightsError as WeightsError
    from flexnas_bench.errors import WorkerDiedError as WorkerDiedError
    from flexnas_bench.layer import EncoderLayer as EncoderLayer
    from flexnas_bench.loading import load_benchmark as load_benchmark
    from flexnas_bench.modeling import FlexiBertConfig as FlexiBertConfig
    from flexnas_bench.modeling import FlexiBertForMaskedLM as FlexiBertForMaskedLM
    from flexnas_bench.modeling import FlexiBertForSequenceClassification as FlexiBertForSequenceClassification
    from flexnas_bench.modeling import FlexiBertModel as FlexiBertModel
    from flexnas_bench.modeling import transfer_weights as transfer_weights
    from flexnas_bench.optimizers.base import Optimizer as Optimizer
    from flexnas_bench.optimizers.registry import make_optimizer as make_optimizer
    from flexnas_bench.optimizers.registry import optimizer_names as optimizer_names
    from flexnas_bench.own_table import import_table as import_table
    from flexnas_bench.predictors.seeding import reproducible as reproducible
    from flexnas_bench.published.figures import load_published as load_published
    from flexnas_bench.records import Training as Training
    from flexnas_bench.searching.runner import search as search
    from flexnas_bench.searching.runs import Run as Run
    from flexnas_bench.space.base import DesignSpace as DesignSpace
    from flexnas_bench.space.loading import load_space as load_space
    from flexnas_bench.store import Store as Store
    from flexnas_bench.surrogate.model import Surrogate as Surrogate
    from flexnas_bench.surrogate.predictor import Prediction as Prediction
    from flexnas_bench.surrogate.predictor import Predictor as Predictor

_NAMES = {
    "answers": ("Result",),
    "benchmark": ("Benchmark",),
    "card": ("ModelCard",),
    "embedding.base": ("Embedding",),
    "embedding.loading": ("load_embedding",),
    "embedding.neighbors": ("Neighbor", "transfer_neighbors"),
    "distance.alignment": ("alignment_distance",),
    "distance.ged": ("ged",),
    "distance.pairs": ("ged_bounds",),
    "distance.overlap": ("biased_overlap", "overlap_fraction"),
    "errors": (
        "BusyError",
        "FlexnasError",
        "GedNotExact",
        "InvalidCardError",
        "InvalidSpaceError",
        "NotInSpaceError",
        "NotMeasuredError",
        "OptimizerFailedError",
        "OptionError",
        "ProposalError",
        "ResultConflictError",
        "RunMismatchError",
        "SpaceExhaustedError",
        "SpaceIndexError",
        "TableCorruptError",
        "TransferRefusedError",
        "WeightsError",
        "WorkerDiedError",
    ),
    "layer": ("EncoderLayer",),
    "loading": ("load_benchmark",),
    "modeling": (
        "FlexiBertConfig",
        "FlexiBertForMaskedLM",
        "FlexiBertForSequenceClassification",
        "FlexiBertModel",
        "transfer_weights",
    ),
    "optimizers.base": ("Optimizer",),
    "optimizers.registry": ("make_optimizer", "optimizer_names"),
    "own_table": ("import_table",),
    "predictors.seeding": ("reproducible",),
    "published.figures": ("load_published",),
    "records": ("Training",),
    "searching.runner": ("search",),
    "searching.runs": ("Run",),
    "space.base": ("DesignSpace",),
    "space.loading": ("load_space",),
    "store": ("Store",),
    "surrogate.model": ("Surrogate",),
    "surrogate.predictor": ("Prediction", "Predictor"),
}
_HOME = {name: f"flexnas_bench.{module}" for module, names in _NAMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
