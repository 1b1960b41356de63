"""Tables and figures from a store."""

from paretonas.report.aims import Aims
from paretonas.report.describe import Row, describe
from paretonas.report.figure import front_figure, save_figure
from paretonas.report.table import front_trials, trials_table, write_parquet

__all__ = ["Aims", "Row", "describe", "front_figure", "front_trials", "save_figure", "trials_table", "write_parquet"]
