"""The README: its example runs as it stands, and what it links exists."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_the_algorithm_of_the_readme_runs(tmp_path: Path) -> None:
    (source,) = re.findall(r"```python\n# mine\.py\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "mine.py").write_text(source)
    (command,) = re.findall(r"^election-bench (run -a mine:.*)$", TEXT, re.MULTILINE)
    words = [sys.executable, "-m", "bench", *command.split(), "-t", "2", "-o", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
    with (tmp_path / "run" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["verdict"] for row in rows} == {"elected"}
    cold = [row for row in rows if row["algorithm"] == "mine:LeLann" and row["fault"] == "none"]
    assert {int(row["messages"]) for row in cold if row["n"] == "16"} == {16 * 16 + 16}
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000


def test_what_the_readme_links_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_option_of_the_readme_exists() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "bench", "run", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    for option in set(re.findall(r"^election-bench run.*? (--[a-z]+)", TEXT, re.MULTILINE)):
        assert option in said.stdout


def test_the_commands_that_show_and_compare_run(tmp_path: Path) -> None:
    (section,) = re.findall(r"^## Look into one trial, compare two runs$(.*?)^## ", TEXT, re.DOTALL | re.MULTILINE)
    commands = [line.split("#")[0].split()[1:] for line in section.splitlines() if line.startswith("election-bench ")]
    assert len(commands) == 8
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in commands:
        quick = ["--no-report"] if words[0] == "run" else []
        quick += ["--delta", "50ms"] if "-a" in words and "-e" not in words else []
        call = [sys.executable, "-m", "bench", *words, *quick]
        done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"trial.svg", "trial.json", "trial.log", "before", "after", "ratios.svg"}
