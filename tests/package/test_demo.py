"""The demo's own arithmetic against closed forms, its data and models, and the whole of it once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ascribe import Attribution
from ascribe.cli.commands import main
from ascribe.demo import data, explain, models, removal
from ascribe.demo.run import SAVED, TaskResult, report_checks
from ascribe.result.attribution import Check

WEIGHTS = np.array([4.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -5.0])


def linear(records: np.ndarray) -> np.ndarray:
    return records.reshape(len(records), -1) @ np.tile(WEIGHTS, 2)


def test_removing_the_top_of_a_linear_score_takes_exactly_that_away() -> None:
    records = np.ones((3, 2, 10))
    values = np.broadcast_to(np.tile(WEIGHTS, 2).reshape(2, 10), records.shape)
    drop = removal.measure_removal(linear, records, np.zeros((1, 2, 10)), values, np.random.default_rng(0), draws=4000)
    assert drop.removed == 2
    assert drop.top == 8.0
    assert drop.chance == pytest.approx(2 * WEIGHTS.mean(), abs=0.1)
    assert drop.beats_chance
    assert not removal.measure_removal(linear, records, np.zeros(10), -values, np.random.default_rng(0)).beats_chance


def test_the_spread_is_that_of_the_mean_over_records() -> None:
    records = np.ones((400, 10))
    drop = removal.measure_removal(lambda x: x @ WEIGHTS, records, np.zeros(10), records, np.random.default_rng(1), draws=500)
    assert drop.spread == pytest.approx(WEIGHTS.std() / 20, rel=0.1)  # 400 records: a twentieth of one draw's


def test_removed_replaces_those_places_and_no_others() -> None:
    records = np.arange(12.0).reshape(2, 2, 3)
    new = removal.remove_features(records, -np.ones((1, 2, 3)), np.array([[0, 5], [1, 2]]))
    assert new.tolist() == [[[-1, 1, 2], [3, 4, -1]], [[6, -1, -1], [9, 10, 11]]]
    assert records[0, 0, 0] == 0


def test_top_places_are_signed_and_ties_go_in_reading_order() -> None:
    assert removal.rank_places(np.array([[-9.0, 1.0, 3.0, 1.0]]), 3).tolist() == [[2, 1, 3]]


def test_random_places_are_different_and_equally_likely() -> None:
    places = removal.random_places(np.random.default_rng(0), 20_000, 5, 2)
    assert (places[:, 0] != places[:, 1]).all()
    assert np.bincount(places.ravel()) / 20_000 == pytest.approx(np.full(5, 0.4), abs=0.02)


def test_a_layer_map_is_spread_over_its_pixels() -> None:
    values = np.arange(8.0).reshape(1, 2, 2, 2)
    assert removal.upsample_map(values, (1, 1, 4, 4))[0, 0].tolist() == [[4, 4, 6, 6], [4, 4, 6, 6], [8, 8, 10, 10], [8, 8, 10, 10]]


@pytest.mark.parametrize("load", [data.load_digits_task, data.load_cancer_task])
def test_held_out_records_are_held_out(load) -> None:
    task = load(0)
    train = {row.tobytes() for row in task.train}
    assert len(task.held_out) == len(task.held_out_labels) > 100
    assert sum(row.tobytes() in train for row in task.held_out) == 0
    assert task.train.dtype == np.float32
    assert set(task.held_out_labels) == set(range(len(task.class_names)))


def test_table_is_standardised_by_the_training_records() -> None:
    task = data.load_cancer_task(0)
    assert np.abs(task.train.mean(0)).max() < 1e-4
    assert np.abs(task.train.std(0) - 1).max() < 1e-4
    assert np.abs(task.held_out.mean(0)).max() > 1e-2


@pytest.mark.parametrize("load", [data.load_digits_task, data.load_cancer_task])
def test_models_learn_and_leave_the_random_state_alone(load) -> None:
    task = load(0)
    before = torch.get_rng_state()
    model = models.train_model(task, 0)
    assert torch.equal(before, torch.get_rng_state())
    assert models.accuracy(model, task.held_out, task.held_out_labels) > 0.9
    assert not model.training


@pytest.fixture(scope="module")
def tables() -> TaskResult:
    task = data.load_cancer_task(0)
    model = models.train_model(task, 0)
    return TaskResult(task, 0.0, list(explain.explain_task(model, task, 0)))


def test_five_methods_and_more_are_explained_and_all_checks_pass(tables: TaskResult) -> None:
    names = {one.recipe.name for one in tables.explained}
    assert len(names) >= 5
    said: list[str] = []
    assert report_checks([tables], said.append)
    assert said[-1].startswith(f"{sum(len(one.result.checks) for one in tables.explained)} checks: ")


def test_a_failed_check_is_told_and_fails_the_demo(tables: TaskResult) -> None:
    bad = replace(tables.explained[0].result, checks=(Check("completeness", "fail", "far off", (1, 2)),))
    said: list[str] = []
    assert not report_checks([replace(tables, explained=[replace(tables.explained[0], result=bad)])], said.append)
    assert said[0] == "fail: breast cancer, Saliency, completeness: far off (2 of 48 records)"


def test_drops_are_what_the_model_says_of_changed_records(tables: TaskResult) -> None:
    one = next(it for it in tables.explained if it.recipe.name == "IntegratedGradients")
    model, x = models.train_model(tables.task, 0), torch.as_tensor(tables.task.held_out[: explain.RECORDS])
    changed = x.clone()
    for i, row in enumerate(one.result.to_numpy()):
        changed[i, np.argsort(row)[-3:].copy()] = 0.0
    before, after = model(x), model(changed)
    best = before.argmax(1)
    rows = torch.arange(len(x))
    assert one.drop.top == pytest.approx(float((before[rows, best] - after[rows, best]).mean()), abs=1e-5)
    assert one.drop.beats_chance


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder = tmp_path_factory.mktemp("demo")
    threads = torch.get_num_threads()
    yield folder, main(["demo", "--out", str(folder), "--seed", "1"])
    torch.set_num_threads(threads)


def test_the_whole_demo_passes_and_writes_one_file_that_loads_nothing(whole: tuple[Path, int]) -> None:
    folder, code = whole
    assert code == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "IntegratedGradients" in text
    assert "benign" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert sorted(path.name for path in folder.iterdir()) == [SAVED, "report.html"]


def test_the_saved_result_adds_up(whole: tuple[Path, int]) -> None:
    a = Attribution.load(whole[0] / SAVED)
    model = models.train_model(data.load_digits_task(1), 1)
    ends = [explain.run_model(model, records)[np.arange(len(a)), a.target] for records in (a.record, np.zeros_like(a.record))]
    change = ends[0] - ends[1]
    sums, sizes = a.values.sum((1, 2, 3)), np.abs(a.values).sum((1, 2, 3))
    assert np.abs(sums - change).max() > 0
    assert (np.abs(sums - change) <= 1.1e-3 * np.maximum(np.abs(change), sizes)).all(), "to the tolerance asked for, and rounding"
