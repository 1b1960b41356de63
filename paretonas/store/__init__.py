"""Where searches, their trials and what was paid for are kept."""

from paretonas.store.holder import Work
from paretonas.store.names import LONGEST as LONGEST_NAME
from paretonas.store.names import check_name
from paretonas.store.standing import Standing
from paretonas.store.store import Store
from paretonas.store.summaries import SearchSummary

__all__ = ["LONGEST_NAME", "SearchSummary", "Standing", "Store", "Work", "check_name"]
