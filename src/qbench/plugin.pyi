from .contracts.artifact import Artifact
from .contracts.codec import Codec, Complexity, RateParameter
from .contracts.context import Context
from .contracts.dataset import Dataset, FetchProgress
from .contracts.embedding import Embed, Embedding
from .contracts.exchange import ExchangedCell, ExchangedResults, Format
from .contracts.generator import Generator
from .contracts.loss import Loss
from .contracts.metric import (
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
from .contracts.parameters import LocalCode, LocalFile, NoParameters, Parameters
from .contracts.recipe import Recipe, TrainingStep
from .contracts.weights import Weights
from .errors import (
    BitstreamError,
    DatasetError,
    ImageError,
    ModelError,
    NotApplicable,
    PluginError,
    QbenchError,
)
from .images.image import SRGB8, Image, PixelFormat, Pixels
from .images.reading import read_image
from .images.sources import ImageFile, ImageSource
from .models.resolve import find_weights
from .registry.files import load_code
from .registry.hookspecs import hookimpl
from .registry.registry import find_embedding, find_generator, find_loss

__all__ = [
    "SRGB8",
    "Artifact",
    "BitstreamError",
    "Candidates",
    "Codec",
    "Column",
    "Complexity",
    "Context",
    "Dataset",
    "DatasetError",
    "Direction",
    "DistributionMetric",
    "Embed",
    "Embedding",
    "ExchangedCell",
    "ExchangedResults",
    "Explanation",
    "ExplanationTable",
    "FetchProgress",
    "Format",
    "Generator",
    "Image",
    "ImageError",
    "ImageFile",
    "ImageSource",
    "LocalCode",
    "LocalFile",
    "Loss",
    "Metric",
    "ModelError",
    "NoParameters",
    "NotApplicable",
    "Parameters",
    "PixelFormat",
    "Pixels",
    "PluginError",
    "QbenchError",
    "RateParameter",
    "Recipe",
    "Reference",
    "Scope",
    "Scores",
    "TrainingStep",
    "Weights",
    "find_embedding",
    "find_generator",
    "find_loss",
    "find_weights",
    "hookimpl",
    "load_code",
    "read_image",
]
