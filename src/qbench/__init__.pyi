from . import plugin, testing, toolkit
from .api.coding import Coder, codec
from .api.explaining import explain
from .api.measuring import measure
from .api.merging import merge
from .api.reporting import bd_rates, compare, correlate, plot, report, savings
from .api.run import Run
from .api.running import plan, run, score
from .api.runs import export, export_baseline, import_results, load_run, runs
from .api.verifying import Verification, verify
from .api.voting import votes
from .contracts.metric import Explanation
from .errors import (
    ClusterError,
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
from .execute.verifying import Finding, Verdict
from .execute.work import Stop
from .images.image import Image
from .images.reading import read_image
from .planning.types import Plan, PlannedMetric
from .records import CellRecord, ScoreRecord
from .reporting.bd import BdRate
from .reporting.comparison import Comparison, Difference
from .reporting.correlation import Cells, Correlation
from .reporting.figures import Drawing
from .reporting.ranking import Ranking, Rating
from .reporting.savings import Savings
from .results.run import Entry, FailureNote, Row, Status

__version__: str

__all__ = [
    "BdRate",
    "CellRecord",
    "Cells",
    "ClusterError",
    "Coder",
    "Comparison",
    "Correlation",
    "DatasetError",
    "DeviceError",
    "Difference",
    "Drawing",
    "Entry",
    "Explanation",
    "FailureNote",
    "Finding",
    "Image",
    "ImageError",
    "ModelError",
    "Plan",
    "PlannedMetric",
    "PluginError",
    "QbenchError",
    "Ranking",
    "Rating",
    "Row",
    "Run",
    "RunLockedError",
    "Savings",
    "ScoreRecord",
    "Status",
    "Stop",
    "StoreError",
    "SuiteError",
    "Verdict",
    "Verification",
    "bd_rates",
    "codec",
    "compare",
    "correlate",
    "explain",
    "export",
    "export_baseline",
    "import_results",
    "load_run",
    "measure",
    "merge",
    "plan",
    "plot",
    "plugin",
    "read_image",
    "report",
    "run",
    "runs",
    "savings",
    "score",
    "testing",
    "toolkit",
    "verify",
    "votes",
]
