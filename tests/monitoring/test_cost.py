"""What a training took is kept beside its logs, and found again by its last row."""

import json

from pipeline.monitoring.throughput import COST, MEMORY, CostLogger, find_cost
from pipeline.training.history import SUMMARY as SUMMARY_FILE
from pipeline.training.history import save_history

ROW = {"clips": 64.0, "loss/generator": 1.23456789}
SUMMARY = {"clips": 64.0, "loss_generator": 1.23457}  # as training.json has it


def test_the_cost_of_a_run_is_found_by_its_last_row_among_others(tmp_path):
    CostLogger(tmp_path / "one", 0).log_scalars(64, ROW | {MEMORY: 0.5})
    CostLogger(tmp_path / "other", 0).log_scalars(64, ROW | {"loss/generator": 2.0, MEMORY: 7.0})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / COST).write_text("{")
    found = find_cost(tmp_path, SUMMARY)
    assert (found["clips"], found["memory_gb"]) == (64, 0.5)
    assert find_cost(tmp_path, SUMMARY | {"loss_generator": 3.0}) == {}
    assert find_cost(tmp_path, {}) == {}


def test_the_cost_of_a_long_run_is_found_by_the_row_that_it_saved(tmp_path):
    row = ROW | {"clips": 4_000_032.0, "loss/generator": 1234567.75}
    save_history(tmp_path / "model", [row])
    CostLogger(tmp_path / "log", 0).log_scalars(4_000_032, row)
    summary = json.loads((tmp_path / "model" / SUMMARY_FILE).read_text())
    assert find_cost(tmp_path, summary)["clips"] == 4_000_032


def test_a_stopped_run_goes_on_counting_and_a_new_one_starts_afresh(tmp_path):
    CostLogger(tmp_path, 0).log_scalars(32, ROW | {MEMORY: 2.0})
    before = json.loads((tmp_path / COST).read_text())
    (tmp_path / COST).write_text(json.dumps(before | {"seconds": 100.0, "cpu_seconds": 50.0}))
    resumed = CostLogger(tmp_path, 32)
    resumed.log_scalars(64, ROW | {MEMORY: 1.0})
    after = json.loads((tmp_path / COST).read_text())
    assert 100 <= after["seconds"] < 110 and 50 <= after["cpu_seconds"] < 60
    assert after["memory_gb"] == 2.0
    CostLogger(tmp_path, 0).log_scalars(8, ROW | {MEMORY: 1.0})
    assert json.loads((tmp_path / COST).read_text())["seconds"] < 10
