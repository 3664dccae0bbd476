"""Pages: the documentation as it is run. What it shows is what its own commands print, draw and write.

All of a page happens in one folder, empty at first but for the runs in `results/`, from top to bottom:

    ```python, first line `# name.py`       that file is written
    ```console                              commands after `$ `, each with what it prints and its exit code if not 0
    ```sh                                   commands that are carried out, shortened, and must succeed
    <!-- $ command --> ... <!-- end -->     what a command prints, which is Markdown
    ![...](figures/name.svg)                a figure that a command of the page draws there

python -m tests.pages [method ...]      carries out all pages, or these, and writes into them what came of it
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cli import cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "bench" / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
PART = re.compile(
    r"^```(python|console|sh)\n(.*?)^```$|^<!-- \$ (.*?) -->\n.*?^<!-- end -->$", re.MULTILINE | re.DOTALL
)
HERE = re.compile(r"election-bench (list|trace|verify) [^|:;>]*")  # needs no shell, and no module of its own
FILE = re.compile(r"# ([\w.]+)\n")
KEPT = ("reference", "classics")  # runs that lie in the repository
TIMEOUT = 120  # seconds for one command


class Failed(Exception):
    """A command of a page did not succeed; says which, and what it printed."""


def carry_out(command: str, folder: Path) -> tuple[str, int]:
    """Run a command as a reader of a page would, in `folder`; returns what it prints, times left out, and its exit code."""
    if HERE.fullmatch(command):
        return carry_out_here(command, folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    printed = re.sub(r"after \d+\.\d s(, about [\w ]+ left)?", "after ... s", done.stdout.rstrip())
    return "\n".join(line.rstrip() for line in printed.splitlines()), done.returncode


def carry_out_here(command: str, folder: Path) -> tuple[str, int]:
    """What `carry_out` does, in this process: what takes long to load is loaded once."""
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            cli.main(shlex.split(command, comments=True)[1:], standalone_mode=False)
        except SystemExit as end:
            return said.getvalue().rstrip(), int(end.code or 0)
    return said.getvalue().rstrip(), 0


def shorten(command: str) -> str:
    """The same command with one trial a cell, no calibration and no report; make only says what it would do."""
    if command.startswith("make "):
        return f"make -C {ROOT} -n {command.split()[1]}"
    if not command.startswith("election-bench run ") or "--resume" in command:
        return command
    return f"{command.partition(' #')[0]} -t 1 --delta 50ms --no-report"


def carry_out_page(text: str, folder: Path) -> str:
    """The page's text with what its commands print now.

    Raises:
        Failed: if a command whose output is not shown fails.
    """

    def part(found: re.Match[str]) -> str:
        kind, body, generator = found.groups()
        if generator:
            printed, code = carry_out(generator, folder)
            if code:
                raise Failed(f"{generator}\n{printed}\nexit code {code}")
            return f"<!-- $ {generator} -->\n{printed}\n<!-- end -->"
        if kind == "python":
            if name := FILE.match(body):
                (folder / name[1]).write_text(body)
        elif kind == "console":
            lines = []
            for command in re.findall(r"^\$ (.*)$", body, re.MULTILINE):
                printed, code = carry_out(command, folder)
                lines += [f"$ {command}", *([printed] if printed else []), *([f"[exit code {code}]"] if code else [])]
            body = "".join(f"{line}\n" for line in lines)
        else:
            for command in body.splitlines():
                printed, code = carry_out(shorten(command), folder)
                if code:
                    raise Failed(f"{command}\n{printed}\nexit code {code}")
        return f"```{kind}\n{body}```"

    (folder / "figures").mkdir()
    (folder / "results").mkdir()
    for run in KEPT:
        (folder / "results" / run).symlink_to(ROOT / "results" / run)
    return PART.sub(part, text)


def figures_of(text: str) -> list[str]:
    """Names of the figures that the page shows and draws."""
    return re.findall(r"\]\(figures/([^)]+)\)", text)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for page in PAGES:
        if wanted and page.stem not in wanted:
            continue
        with tempfile.TemporaryDirectory() as name:
            old = page.read_text()
            page.write_text(carry_out_page(old, Path(name)))
            for figure in figures_of(old):
                shutil.copy(Path(name) / "figures" / figure, page.parent / "figures" / figure)
        print(page.relative_to(ROOT))
