from .api import explain, export_results, import_results, load_run, plan_suite, run, score
from .areas import in_areas
from .codec import Artifact, Codec, Context, Knob, NoParameters, Parameters, Pixels
from .dataset import Dataset, FetchProgress
from .embedding import Embed, Embedding
from .errors import (
    BitstreamError,
    DatasetError,
    DeviceError,
    ImageError,
    ModelError,
    NotApplicable,
    PluginError,
    QbenchError,
    RunLockedError,
    StoreError,
    SuiteError,
)
from .exchange import Format, ImportedCell, ImportedResults
from .generator import Generator
from .hookspecs import hookimpl
from .image import ImageFile, ImageSource, Picture, read_image
from .inference import BatchedNetwork
from .loss import Loss
from .metric import (
    Candidates,
    Column,
    Direction,
    DistributionMetric,
    Explanation,
    ExplanationTable,
    Metric,
    Reference,
    Scope,
    Scores,
)
from .models import Weights, find_weights
from .plan import Plan
from .range_coding import GaussianTables, LevelDecoder, LevelEncoder
from .recipe import Recipe, TrainingStep
from .records import CellRecord, ScoreRecord
from .registry import find_embedding, find_generator, find_loss
from .results import Row, Run
from .training import TrainingLoop
from .training_data import TrainingPicture, random_crop, split_pictures, training_pictures

__version__: str

__all__ = [
    "Artifact",
    "BatchedNetwork",
    "BitstreamError",
    "Candidates",
    "CellRecord",
    "Codec",
    "Column",
    "Context",
    "Dataset",
    "DatasetError",
    "DeviceError",
    "Direction",
    "DistributionMetric",
    "Embed",
    "Embedding",
    "Explanation",
    "ExplanationTable",
    "FetchProgress",
    "Format",
    "GaussianTables",
    "Generator",
    "ImageError",
    "ImageFile",
    "ImageSource",
    "ImportedCell",
    "ImportedResults",
    "Knob",
    "LevelDecoder",
    "LevelEncoder",
    "Loss",
    "Metric",
    "ModelError",
    "NoParameters",
    "NotApplicable",
    "Parameters",
    "Picture",
    "Pixels",
    "Plan",
    "PluginError",
    "QbenchError",
    "Recipe",
    "Reference",
    "Row",
    "Run",
    "RunLockedError",
    "Scope",
    "ScoreRecord",
    "Scores",
    "StoreError",
    "SuiteError",
    "TrainingLoop",
    "TrainingPicture",
    "TrainingStep",
    "Weights",
    "explain",
    "export_results",
    "find_embedding",
    "find_generator",
    "find_loss",
    "find_weights",
    "hookimpl",
    "import_results",
    "in_areas",
    "load_run",
    "plan_suite",
    "random_crop",
    "read_image",
    "run",
    "score",
    "split_pictures",
    "training_pictures",
]
