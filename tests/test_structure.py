"""Who may import whom: read off the source, so that the architecture cannot rot unseen."""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path
from statistics import median

import pytest

from bench.__main__ import needs_nodes
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
    assert not {"pandas", "numpy", "matplotlib", "scipy", "click", "rich", "jinja2", "psutil"}.intersection(loaded)
    assert not {"hashlib", "tomllib", "difflib", "importlib.metadata"}.intersection(loaded)


def test_a_launcher_starts_before_its_parent_loads_anything() -> None:
    code = "import sys, bench.__main__ as it; it.launch = lambda: sys.exit(print(*sys.modules)); it.main()"
    command = [sys.executable, "-c", code, "run"]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())
    assert "bench.launch" in loaded
    assert not {"click", "algorithms", "msgspec", "bench.cli", "bench.engines", "psutil"}.intersection(loaded)
    assert needs_nodes(["run", "-n", "4"])
    for words in ("run -e simulate", "run --engine=simulate", "list", ""):
        assert not needs_nodes(words.split())


def test_the_end_of_a_command_looks_for_no_garbage_among_its_modules() -> None:
    code = "import atexit, gc, bench.__main__ as it; atexit.register(lambda: print(gc.get_freeze_count())); it.main()"
    for words in ("trace -a ring -n 3 -e simulate", "list", "compare nothing nowhere"):
        command = [sys.executable, "-c", code, *words.split()]
        told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout
        assert int(told.split()[-1]) > 10_000, words


def test_an_interrupt_before_there_is_a_command_shows_no_traceback() -> None:
    code = "import bench.__main__ as it; it.needs_nodes = lambda words: it.interrupt(15, None); it.main()"
    ended = subprocess.run([sys.executable, "-c", code, "list"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (130, "election-bench: interrupted\n")


def test_a_run_without_a_report_loads_no_library_of_reports(tmp_path: Path) -> None:
    words = ("run", "-a", "ring", "-n", "3", "-f", "none", "-t", "1", "--delta", "1s", "--no-report", "-o")
    command = [sys.executable, "-X", "importtime", "-m", "bench", *words, str(tmp_path / "run")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "bench.sweep" in loaded
    assert not {"pandas", "numpy", "matplotlib", "scipy", "rich", "jinja2", "bench.report"}.intersection(loaded)


def test_nodes_are_forked_from_one_who_knows_their_lines() -> None:
    code = """
import dis, os
from bench.engines.processes.launcher import rehearse
from bench.engines.processes.worker import Worker
def learnt(): return sum(it.opname not in dis.opmap for it in dis.get_instructions(Worker.dispatch, adaptive=True))
print(learnt()); held = os.listdir("/dev/fd"); rehearse(); print(learnt(), held == os.listdir("/dev/fd"))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    before, after, let_go = told.split()
    assert int(before) == 0
    assert int(after) > 10
    assert let_go == "True"


def test_to_verify_needs_no_library_for_figures() -> None:
    code = "import sys, bench.conformance, bench.verify; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not {"pandas", "numpy", "matplotlib", "scipy"}.intersection(loaded.split())


def lines_of_code(path: Path) -> int:
    """How many lines of a file hold code, imports and declarations included: no docstring, comment or empty line."""
    docs: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            docs.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    with path.open() as source:
        tokens = [token for token in tokenize.generate_tokens(source.readline) if token.string.strip()]
    code = (token for token in tokens if token.type != tokenize.COMMENT)
    return len({line for token in code for line in range(token.start[0], token.end[0] + 1)} - docs)


def test_lines_of_code_are_those_that_hold_code(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(
        '"""Says.\n\nMore.\n"""\n\n# why\nx = """a\n\nb"""  # so\n\n\ndef f() -> None:\n    """Does."""\n'
    )
    assert lines_of_code(tmp_path / "page.py") == 4


def test_a_page_is_a_page() -> None:
    sizes = {path.stem: lines_of_code(path) for path in PAGES}
    assert median(sizes.values()) <= 60
    assert sizes["raft"] <= 120
