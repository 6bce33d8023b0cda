from itertools import islice

import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.records import Caption, Drop
from pipeline.tables import GROUP_ROWS, count_rows, iterate_table, read_table, split_batches, write_table


def drops(count):
    return (Drop(str(number), "too_short", f"{number} frames") for number in range(count))


@pytest.mark.parametrize("count", [0, 3, GROUP_ROWS + 5])
def test_rows_come_back_as_they_were_written(tmp_path, count):
    write_table(tmp_path / "t.parquet", Drop, drops(count))
    assert read_table(tmp_path / "t.parquet", Drop) == list(drops(count))
    assert count_rows(tmp_path / "t.parquet", Drop) == count


def test_few_rows_are_in_memory_at_once(tmp_path):
    write_table(tmp_path / "t.parquet", Drop, drops(2 * GROUP_ROWS + 5))
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [GROUP_ROWS, GROUP_ROWS, 5]
    assert list(islice(iterate_table(tmp_path / "t.parquet", Drop), 2)) == list(drops(2))


def test_the_bytes_are_those_that_arrow_writes_at_once(tmp_path):
    write_table(tmp_path / "ours.parquet", Drop, drops(100))
    table = pq.read_table(tmp_path / "ours.parquet")
    pq.write_table(table, tmp_path / "arrows.parquet", compression="zstd")
    assert (tmp_path / "ours.parquet").read_bytes() == (tmp_path / "arrows.parquet").read_bytes()


def test_another_table_and_a_broken_one_are_named(tmp_path):
    write_table(tmp_path / "t.parquet", Drop, drops(3))
    with pytest.raises(UserError, match=r"t\.parquet: not a table of Caption rows"):
        read_table(tmp_path / "t.parquet", Caption)
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-9])
    with pytest.raises(UserError, match=r"t\.parquet: not a table of Drop rows"):
        read_table(tmp_path / "t.parquet", Drop)
    with pytest.raises(UserError, match=r"gone\.parquet: no such table"):
        count_rows(tmp_path / "gone.parquet", Drop)


def test_batches_are_even_but_for_the_last():
    assert list(split_batches("abcdefg", 3)) == [tuple("abc"), tuple("def"), tuple("g")]
    assert list(split_batches("", 3)) == []
