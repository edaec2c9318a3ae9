"""What a person reads while a recipe runs: lines by phase, and with `detail` by stage."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.engine import pipeline, progress
from pipelines.stages import stages_of
from tests.pipelines.small_run import small_recipe, write_crawl


def _lines(tmp_path: Path, detail: bool = False, terminal: bool = False) -> list[str]:
    """Run the small crawl up to the filters; what was printed."""
    if not (tmp_path / "crawl").exists():
        write_crawl(tmp_path / "crawl")
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=terminal, soft_wrap=True)
    stages = stages_of(small_recipe(tmp_path / "crawl", tmp_path / "root"), "filter")
    pipeline.run(stages, console, verify=False, on_ray=False, detail=detail)
    return out.getvalue().splitlines()


def test_a_line_per_phase(tmp_path: Path) -> None:
    extract, filtered = _lines(tmp_path)
    assert extract.startswith("extract: 6 shards in ")
    assert "docs/s" in extract
    assert "rejects" in extract
    assert filtered.startswith("filter: 24 shards of 4 stages in ")
    assert _lines(tmp_path) == ["extract: all 6 shards are done", "filter: all 24 shards of 4 stages are done"]
    (tmp_path / "root/verdicts/dump=CC-MAIN-2019-43/00000.parquet").unlink()
    assert _lines(tmp_path)[1].startswith("filter: 1 of 24 shards of 4 stages in ")


def test_detail_tells_of_every_stage(tmp_path: Path) -> None:
    lines = _lines(tmp_path, detail=True)
    assert [line.split(":")[0] for line in lines] == [
        "extract", "  quality", "  personal", "  safety", "  verdicts", "filter",
    ]  # fmt: skip
    assert _lines(tmp_path, detail=True)[1] == "  quality: all 6 shards are done"


def test_a_log_says_which_stage_it_is_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    _lines(tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("extract: 3/6 shards, ") for line in printed)
    assert any(line.startswith("filter, stage 3 of 4, safety: 2/6 shards, ") for line in printed)


def test_a_terminal_has_a_bar_per_phase(tmp_path: Path) -> None:
    shown = "\n".join(_lines(tmp_path, terminal=True))
    assert "stage 4 of 4, verdicts: " in shown
    assert "filter: 24 shards of 4 stages in " in shown
