"""Where searches, their trials and what was paid for are kept."""

from paretonas.store.names import LONGEST as LONGEST_NAME
from paretonas.store.names import check_name
from paretonas.store.store import SearchSummary, Store

__all__ = ["LONGEST_NAME", "SearchSummary", "Store", "check_name"]
