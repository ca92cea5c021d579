"""The bench runs and writes what it measures. How fast anything is, is the bench's own business: nothing here is timed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum")

from benchmarks import ascribe_side, bare, captum_side, cases, models, removals, report, timing  # noqa: E402
from benchmarks.__main__ import main  # noqa: E402
from benchmarks.counting import counted  # noqa: E402
from benchmarks.timing import Contender, Effort, Watch, paired, rounds, spread  # noqa: E402

TINY = cases.Settings(steps=3, samples=4, call_steps=3, image=16, tokens=6, batch=2)


def test_a_quick_run_prints_and_writes_every_contender(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--only", "MLP IntegratedGradients", "--output", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["MLP IntegratedGradients 5, batch 1", "MLP IntegratedGradients 5, batch 2"]
    for row in written["rows"]:
        assert set(row["seconds"]) == {"bare", "ascribe", "captum", "least", "cold"}
        assert set(row["ratios"]) == {"ascribe/bare", "ascribe/least", "captum/ascribe", "cold/bare", "captum/cold"}
        assert row["agreement"]["ascribe"] < 1e-5
    assert written["about"]["torch threads"] == str(torch.get_num_threads())
    assert "MLP IntegratedGradients 5, batch 1" in capsys.readouterr().out


@pytest.mark.parametrize(("records", "points", "chunk"), [(8, 5, 3), (8, 5, 8), (8, 5, 20), (1, 7, 4), (3, 4, 100)])
def test_rectangles_cover_every_row_once(records: int, points: int, chunk: int) -> None:
    seen = torch.zeros(points, records)
    for r, p in bare.rectangles(records, points, chunk):
        seen[p, r] += 1
        assert seen[p, r].numel() <= max(chunk, 1)
    assert (seen == 1).all()


@pytest.mark.parametrize("chunk", [1, 2, 4, 6])
@pytest.mark.parametrize("make", [models.cnn, models.bert, models.llama])
def test_the_loop_by_hand_agrees_with_captum_at_every_chunk(make: object, chunk: int) -> None:
    subject = models.cnn("cpu", 16, 2) if make is models.cnn else make("cpu", 6, 2)  # type: ignore[operator]
    peer = captum_side.integrated_gradients if make is models.cnn else captum_side.embedding_integrated_gradients
    ours = bare.integrated_gradients(subject, steps=3, chunk=chunk, ends=False)
    torch.testing.assert_close(ours, peer(subject, 3)(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("layer", ["fc2", "relu4"])
def test_the_layer_loop_by_hand_agrees_with_captum(layer: str) -> None:
    subject = models.cnn("cpu", 16, 2)
    ours = bare.layer_integrated_gradients(subject, layer, steps=3, chunk=4)
    torch.testing.assert_close(ours, captum_side.layer_integrated_gradients(subject, layer, 3)(), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(bare.grad_cam(subject, "relu4"), captum_side.grad_cam(subject, "relu4")(), rtol=1e-4, atol=1e-7)


def test_rows_are_counted_where_they_pass() -> None:
    subject = models.cnn("cpu", 16, 2)
    whole = counted(subject.model, ("conv1", "fc3"), lambda: bare.integrated_gradients(subject, steps=3, chunk=4, ends=True))
    assert str(whole) == "10/10+6"  # 3 points and 2 ends for each of 2 records, and back from the points only
    part = counted(subject.model, ("conv1", "fc3"), lambda: bare.layer_integrated_gradients(subject, "fc2", steps=3, chunk=4))
    assert str(part) == "4/6+6"  # records and baselines up to the layer, points from there on


def test_mapped_points_are_counted_as_rows() -> None:
    subject = models.mlp("cpu", 2)
    points = torch.stack([subject.args[0]] * 5)
    assert str(counted(subject.model, ("fc1", "fc2"), lambda: torch.vmap(subject.model)(points))) == "10/10+0"


def test_a_contender_that_fails_is_shown_and_makes_the_run_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(subject: models.Subject) -> object:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(captum_side, "saliency", broken)
    assert main(["--quick", "--only", "MLP Saliency, batch 1", "--output", str(tmp_path)]) == 1
    (row,) = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert row["errors"] == {"captum": "RuntimeError: no such luck"}
    assert row["met"] == {}  # no figure, so neither met nor missed


def test_every_round_times_every_contender_and_anew_where_asked() -> None:
    made: list[str] = []
    contenders = {
        "again": Contender(lambda: made.append("again") or (lambda: None)),
        "anew": Contender(lambda: made.append("anew") or (lambda: None), once=True),
    }
    figures = rounds(contenders, Effort(3, 3, 0.0, 0.0), Watch())
    assert {name: len(values) for name, values in figures.items()} == {"again": 3, "anew": 3}
    assert made.count("again") == 1
    assert made.count("anew") == 4  # one to begin with, one for each round


def test_the_best_chunk_is_looked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[list[str]] = []

    def figures(contenders: dict[str, Contender], effort: Effort, watch: Watch) -> dict[str, list[float]]:
        tried.append(list(contenders))
        seconds = {"1": 9.0, "2": 5.0, "4": 2.0, "8": 1.0 if len(tried) == 1 else 4.0, "12": 3.0}  # 8 was lucky once
        return {name: [seconds[name]] for name in contenders}

    monkeypatch.setattr(timing, "rounds", figures)
    best, medians = timing.best_chunk(lambda chunk: lambda: None, 12, Effort(), Watch())
    assert tried == [["1", "2", "4", "8", "12"], ["8", "4", "12", "2"]]
    assert best == 4
    assert medians == {1: 9.0, 2: 5.0, 4: 2.0, 8: 4.0, 12: 3.0}


def test_ratios_are_taken_within_a_round() -> None:
    figures = {"a": [2.0, 20.0, 3.0], "b": [1.0, 10.0, 1.0]}
    assert paired(figures, "a", "b").median == 2.0
    assert spread([1, 2, 3, 4, 5]).low == 2


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.5234, "1.52 s"), (0.231, "231 ms"), (88e-6, "88.0 us"), (12.3, "12.3 s"), (4e-8, "0.04 us")]
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


def test_tables_are_aligned_and_escaped() -> None:
    table = [["", "a"], ["long name", "x|y"]]
    assert report.aligned(table).splitlines() == ["           a", "--------------", "long name  x|y"]
    assert report.markdown(table).splitlines() == ["|  | a |", "|---|---|", "| long name | x\\|y |"]


def test_an_aim_is_met_at_its_bound() -> None:
    assert cases.Aim("ascribe/bare", "<=", 1.1).met(1.1)
    assert not cases.Aim("captum/ascribe", ">=", 2).met(1.99)
    assert str(cases.Aim("captum/ascribe", ">=", 2)) == "captum/ascribe ≥ 2"


def test_every_case_names_a_peer_and_has_its_own_name() -> None:
    rows = cases.cases(TINY)
    assert len({case.name for case in rows}) == len(rows)
    assert all(callable(case.captum) and callable(case.ascribe) for case in rows)


def test_the_loop_over_pairs_runs_every_row_once() -> None:
    subject = models.cnn("cpu", 16, 2, 3)
    passed = counted(subject.model, (subject.first, subject.last), lambda: bare.pairs(subject))
    assert str(passed) == "5/5+6"
    call = ascribe_side.deep_lift_shap(subject)
    call()  # the first call also tries the model out
    assert str(counted(subject.model, (subject.first, subject.last), call)).startswith("5/5")


def test_removal_methods_are_raced() -> None:
    jobs = {job.name.split(",")[0]: job for job in removals.jobs(16, 2, 150)}
    for name in ("removal: Kernel SHAP", "removal: Occlusion"):
        row = removals.raced(jobs[name], Effort(1, 1, 0.0, 0.0), Watch())
        assert row.error == ""
        assert set(row.ratios) == set(row.seconds) - {"ascribe"}
        assert int(row.rows["ascribe"]) <= int(row.rows["captum"])
    table = report.removal_table([row, removals.Raced("broken", {}, {}, {}, 1.0, "no such luck")])
    assert table[-1][:2] == ["broken", "no such luck"]


def test_removal_methods_are_found_by_a_part_of_their_name(tmp_path: Path) -> None:
    assert main(["--quick", "--only", "64 windows, CNN, batch 1", "--output", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in written["removals"]] == ["removal: Occlusion, 64 windows, CNN, batch 1"]
    assert written["removals"][0]["aim"] is None  # tiny runs meet and miss nothing
    assert written["rows"] == []


def test_the_same_call_to_both(tmp_path: Path) -> None:
    """Every class that captum runs on these models is timed in both; every name has a line on the page."""
    from benchmarks.captum_names import named, page
    from benchmarks.same_call import CLASSES, HOMES, NO_RULES, same_calls

    rows = list(same_calls(Effort(1, 1, 0.0, 0.0), Watch(), 16, 8, 2, "CNN Saliency"))
    assert [row.name for row in rows] == ["Saliency"]
    rows += [row for name in ("LRP", "Permutation", "DataLoader") for row in same_calls(Effort(1, 1, 0.0, 0.0), Watch(), 16, 8, 2, name)]
    refused = {f"{row.home} {row.name}": row.error for row in rows if row.ratio is None}
    assert refused == {f"{home} {name}": NO_RULES for home in HOMES[1:] for name in ("LRP", "LayerLRP")}
    assert len(rows) == 1 + len(HOMES) * 5
    written = page(rows)
    assert all(f"`{name}`" in written for name in named())
    assert set(CLASSES) <= set(named())
    assert "CNN Saliency" in report.markdown(report.same_table(rows))
