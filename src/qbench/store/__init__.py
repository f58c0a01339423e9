"""The store room: the run folder, its journal, and the cache across runs."""

from qbench.store.cache import Cache
from qbench.store.folder import RunFolder, now
from qbench.store.journal import JournalWriter, read_journal
from qbench.store.state import RunState, score_key

__all__ = ["Cache", "JournalWriter", "RunFolder", "RunState", "now", "read_journal", "score_key"]
