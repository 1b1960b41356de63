import itertools
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.errors import DataError
from paretonas.objective import Goals
from paretonas.space import Architecture, Decision, spec_from_json, spec_to_json
from paretonas.space.table import Table, TabularSpec, read_table
from paretonas.strategy import strategies
from paretonas.testing.strategy import ended

examples = settings(max_examples=50, deadline=None, database=None, derandomize=True)


@pytest.fixture
def write(tmp_path):
    def write(**columns):
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write


def test_strings_are_read_symbol_by_symbol(write):
    table = read_table(write(arch=["00", "01", "10", "11"], acc=[1.0, 2.0, 3.0, 4.0]))
    assert [d.choices for d in table.decisions] == [("0", "1"), ("0", "1")]
    assert table.space().size == 4
    row = table.row(Architecture("tabular/table", (1, 0)))
    assert (row, table.column("acc")[row]) == (2, 3.0)


def test_lists_are_read_symbol_by_symbol_and_gaps_are_none(write):
    table = read_table(write(ops=[[3, 7], [3, 9], [5, 7], [5, 9]], acc=[1.0, None, 3.0, 4.0]))
    assert [d.choices for d in table.decisions] == [(3, 5), (7, 9)]
    assert table.row(Architecture("tabular/table", (1, 1))) == 3
    assert math.isnan(table.column("acc")[1])


# Parts of a space


def test_architecture_that_is_not_there_stands_for_the_first_of_the_nearest_rows(write):
    table = read_table(write(ops=[[3, 7, 1], [3, 9, 1], [5, 7, 1], [5, 7, 2]], acc=[1.0, 2.0, 3.0, 4.0]))
    assert not table.is_whole
    row = {
        choices: table.row(Architecture("tabular/table", choices)) for choices in itertools.product((0, 1), repeat=3)
    }
    assert [row[0, 0, 0], row[0, 1, 0], row[1, 0, 0], row[1, 0, 1]] == [0, 1, 2, 3]  # those that are there
    assert row[0, 0, 1] == 0  # one decision from the first row and from the last
    assert row[1, 1, 0] == 1  # one from the second and from the third
    assert row[1, 1, 1] == 3
    assert row[0, 1, 1] == 1


def test_architecture_that_is_not_there_has_the_spec_of_the_row_that_it_stands_for(write):
    table = read_table(write(arch=["aa", "ab", "ba"], acc=[1.0, 2.0, 3.0]))
    space = table.space()
    assert space.size == 4
    assert space.decode(space.architecture((1, 1))) == space.decode(space.architecture((0, 1)))
    assert space.decode(space.architecture((1, 1))) == TabularSpec("table", ("a", "b"))
    assert space.canonical((1, 1)) == (0, 1)
    assert space.canonical((1, 0)) == (1, 0)


def test_rows_of_several_lengths_are_architectures_of_several_lengths(write):
    ops = [["a", "x"], ["b", "x"], ["a", "x", "c", "y"], ["b", "y", "c", "x"]]
    table = read_table(write(ops=ops, acc=[1.0, 2.0, 3.0, 4.0]))
    space = table.space()
    assert space.lengths == (2, 4)
    assert [d.choices for d in table.decisions] == [("a", "b"), ("x", "y"), ("c",), ("x", "y")]
    assert not table.is_whole
    assert table.row(space.architecture((1, 0))) == 1
    assert table.row(space.architecture((1, 1))) == 1  # the nearest of its length
    assert table.row(space.architecture((1, 1, 0, 0))) == 3
    assert space.decode(space.architecture((0, 0))) == TabularSpec("table", ("a", "x"))


def test_rows_of_one_network_stand_for_the_first_of_them(write):
    table = read_table(write(ops=[["a", "b"], ["b", "a"], ["a", "a"]], network=["1", "1", "2"], acc=[1.0, 1.0, 3.0]))
    space = table.space()
    assert space.decode(space.architecture((1, 0))) == space.decode(space.architecture((0, 1)))
    assert (table.row(space.architecture((1, 0))), table.row(space.architecture((0, 0)))) == (0, 2)
    assert space.canonical((1, 0)) == (0, 1)


def test_whole_table_stands_for_itself(write):
    table = read_table(write(arch=["aa", "ab", "ba", "bb"], acc=[1.0, 2.0, 3.0, 4.0]))
    assert table.is_whole
    assert table.space().representative is None


@examples
@given(data=st.data())
def test_nearest_row_is_that_of_brute_force(data):
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    everything = list(itertools.product(*map(range, sizes)))
    keys = data.draw(st.lists(st.sampled_from(everything), min_size=1, unique=True))
    decisions = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate(sizes))
    table = Table("toy", decisions, {key: i for i, key in enumerate(keys)}, {})
    for choices in everything:
        distances = [sum(a != b for a, b in zip(choices, key, strict=True)) for key in keys]
        assert table.row(Architecture("tabular/toy", choices)) == distances.index(min(distances))
    assert table.is_whole is (len(keys) == len(everything))


@pytest.mark.parametrize("name", list(strategies))
def test_every_strategy_searches_a_part_of_a_space(write, name):
    cells = [f"{i:05b}" for i in range(32) if i % 5]
    table = read_table(write(arch=cells, acc=[cell.count("1") / 5 for cell in cells]))
    space = table.space()
    strategy = strategies.create(name).start(space, 0, Goals())
    rows, told = [], 0
    while told < 40 and not strategy.is_finished:
        for proposal in strategy.ask(1):
            rows.append(table.row(proposal.architecture))
            strategy.tell([ended(proposal, table.column("acc")[rows[-1]], told)])
            told += 1
    assert len(set(rows)) >= 12
    assert all(0 <= row < len(cells) for row in rows)


# Cells


def test_rows_stand_for_others_where_cells_are_written_out(write):
    ops = ("none", "skip_connect", "nor_conv_3x3")
    cells = list(itertools.product(range(3), repeat=6))
    text = ["|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*(ops[i] for i in cell)) for cell in cells]
    columns = {"ops": cells, "acc": [float(i) for i in range(len(cells))]}
    space = read_table(write(arch_str=text, **columns)).space()
    dead = (2, 0, 1, 1, 0, 0)  # node 1 leads to node 2, which leads nowhere
    assert space.canonical(dead) == (0, 0, 0, 1, 0, 0)
    assert space.canonical((2, 1, 0, 0, 1, 2)) == space.canonical((1, 2, 0, 0, 2, 1))  # the inner nodes exchanged
    assert space.canonical((2, 1, 0, 0, 1, 2)) != space.canonical((2, 1, 0, 0, 2, 1))
    assert all(space.canonical(space.canonical(cell)) == space.canonical(cell) for cell in cells)
    assert read_table(write(**columns)).space().canonical(dead) == dead
    text[7] = "|conv~0|"
    assert read_table(write(arch_str=text, **columns)).space().canonical(dead) == dead


def test_cells_of_a_part_stand_for_rows_that_are_there(write):
    ops = ("none", "skip_connect", "nor_conv_3x3")
    cells = [cell for cell in itertools.product(range(3), repeat=6) if sum(cell) % 4]
    text = ["|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*(ops[i] for i in cell)) for cell in cells]
    table = read_table(write(arch_str=text, ops=cells, acc=[float(i) for i in range(len(cells))]))
    space = table.space()
    for choices in itertools.product(range(3), repeat=6):
        assert space.canonical(choices) in table.rows
        assert space.canonical(choices) == space.canonical(table.nearest(choices))


# Columns


def test_named_columns_are_decisions_in_that_order(write):
    path = write(depth=[18, 34, 18, 34], kind=["a", "a", "b", "b"], acc=[0.1, 0.2, 0.3, 0.4])
    table = read_table(path, ("kind", "depth"))
    assert [(d.name, d.choices) for d in table.decisions] == [("kind", ("a", "b")), ("depth", (18, 34))]
    assert table.rows[(1, 0)] == 2
    assert set(table.columns) == {"acc"}


def test_a_row_is_a_spec_that_travels_as_json(write):
    space = read_table(write(arch=["ab", "ba", "aa", "bb"], acc=[1.0] * 4)).space()
    spec = space.decode(space.architecture((1, 0)))
    assert spec == TabularSpec("table", ("b", "a")) == spec_from_json(spec_to_json(spec))


@pytest.mark.parametrize(
    ("columns", "decisions", "message"),
    [
        ({"x": [1]}, (), "called ops or arch or are named"),
        ({"arch": ["a"]}, ("ops",), "not 'ops'"),
        ({"arch": ["aa", "a"]}, (), "as many symbols in every row"),
        ({"arch": ["aa", "aa"]}, (), "1 of table.parquet repeat others"),
        ({"ops": [[0.5], [1.5]]}, (), "whole numbers or all strings"),
        ({"d": [1, None]}, ("d",), "whole numbers or all strings"),
        ({"arch": pa.array([], pa.string())}, (), "has none"),
    ],
)
def test_tables_that_cannot_be_are_refused(write, columns, decisions, message):
    with pytest.raises(DataError, match=message):
        read_table(write(**columns), decisions)


def test_files_that_are_no_tables_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "text.parquet")


def test_unknown_column_lists_those_there_are(write):
    table = read_table(write(arch=["a", "b"], acc=[1.0, 2.0], note=["x", "y"]))
    with pytest.raises(DataError, match="has the columns of numbers acc, but not 'note'"):
        table.column("note")
