from .api.explaining import explain
from .api.reporting import bd_rates, compare, correlate, plot, report
from .api.running import plan, run, score
from .api.runs import export, import_results, load_run, runs
from .errors import (
    DatasetError,
    DeviceError,
    ImageError,
    ModelError,
    PluginError,
    QbenchError,
    RunLockedError,
    StoreError,
    SuiteError,
)
from .images.image import Image
from .images.reading import read_image
from .planning.types import Plan
from .records import CellRecord, ScoreRecord
from .results.run import Row, Run

__version__: str

__all__ = [
    "CellRecord",
    "DatasetError",
    "DeviceError",
    "Image",
    "ImageError",
    "ModelError",
    "Plan",
    "PluginError",
    "QbenchError",
    "Row",
    "Run",
    "RunLockedError",
    "ScoreRecord",
    "StoreError",
    "SuiteError",
    "bd_rates",
    "compare",
    "correlate",
    "explain",
    "export",
    "import_results",
    "load_run",
    "plan",
    "plot",
    "read_image",
    "report",
    "run",
    "runs",
    "score",
]
