"""Where searches, their trials and what was paid for are kept."""

from paretonas.store.store import SearchSummary, Store

__all__ = ["SearchSummary", "Store"]
