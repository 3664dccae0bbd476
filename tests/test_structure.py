"""Who may import whom: read off the source, so that the architecture cannot rot unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.conformance import imported_modules

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in (ROOT / "algorithms").glob("*/*.py") if path.name != "__init__.py")
VIEWS = [
    ROOT / "bench" / f"{name}.py"
    for name in ("analyse", "answer", "textbook", "plots", "report", "events", "diagram", "compare")
]


def imports(path: Path) -> set[str]:
    """Names of the modules that a file imports, wherever in it."""
    return imported_modules(path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_imports_the_model_and_mathematics_alone(path: Path) -> None:
    assert imports(path) - {"math"} == {"algorithms.model"}


def test_algorithms_never_import_the_bench() -> None:
    for path in (ROOT / "algorithms").rglob("*.py"):
        assert not {name for name in imports(path) if name.split(".")[0] == "bench"}, path


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.stem)
def test_views_of_stored_rows_import_no_engine(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith(("bench.engines", "bench.sweep", "bench.calibrate"))}


def test_a_node_process_carries_no_heavy_library() -> None:
    code = "import sys, bench.engines.processes.launcher, bench.calibrate; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert "bench.engines.processes.worker" in loaded
    assert not {"pandas", "numpy", "matplotlib", "scipy", "click", "rich", "jinja2"}.intersection(loaded)


def test_to_verify_needs_no_library_for_figures() -> None:
    code = "import sys, bench.conformance, bench.verify; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not {"pandas", "numpy", "matplotlib", "scipy"}.intersection(loaded.split())
