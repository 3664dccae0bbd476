"""Store: a run's folder. Rows are appended as trials finish; what is written is never lost, whatever dies."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import msgspec

from bench.events import Log, write_events
from bench.settings import BadInput
from bench.trial import SCHEMA, KindCount, Trial

KIND_COLUMNS = ("trial", "kind", "class", "count", "bytes")


def _line(values: tuple[Any, ...]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return buffer.getvalue().encode()


class Run:
    """A folder `results/<run>/`, open for appending.

    Use `Run.create` or `Run.resume`.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.done: set[int] = set()

    @staticmethod
    def check_new(folder: Path) -> None:
        """Check that a run can be created at `folder`, without creating anything.

        Raises:
            BadInput: if something is there, or nothing can be written there.
        """
        if folder.is_dir() and (folder / "manifest.json").exists():
            raise BadInput(f"--out: {str(folder)!r} holds a run already; add --resume to finish it, or choose another")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"--out: {str(folder)!r} holds something that is no run; choose an empty or a new folder")
        parent = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise BadInput(f"--out: cannot write to {str(parent)!r}; choose another folder")

    @classmethod
    def create(cls, folder: Path, manifest: dict[str, Any]) -> "Run":
        """Make the folder of a new run.

        Raises:
            BadInput: if it cannot be made.
        """
        cls.check_new(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run = cls(folder, manifest)
            run.write_manifest()
            (folder / "trials.csv").write_bytes(_line(Trial.__struct_fields__))
            (folder / "kinds.csv").write_bytes(_line(KIND_COLUMNS))
        except OSError as error:
            raise BadInput(f"--out: cannot write to {str(folder)!r}: {error.strerror}") from None
        return run

    @classmethod
    def resume(cls, folder: Path) -> "Run":
        """Open a run that was cut off: half-written lines are dropped, and so are kinds of trials without a row.

        Raises:
            BadInput: if there is no run of this schema.
        """
        run = cls(folder, read_manifest(folder))
        for name in ("trials.csv", "kinds.csv"):
            path = folder / name
            data = path.read_bytes()
            path.write_bytes(data[: data.rfind(b"\n") + 1])
        csv.field_size_limit(1 << 30)  # the ids of 65,536 nodes are one cell
        with (folder / "trials.csv").open(newline="") as file:
            run.done = {int(row["trial"]) for row in csv.DictReader(file)}
        with (folder / "kinds.csv").open(newline="") as file:
            rows = [row for row in csv.reader(file) if row[0] == "trial" or int(row[0]) in run.done]
        (folder / "kinds.csv").write_bytes(b"".join(_line(tuple(row)) for row in rows))
        for trial in stored_events(folder):
            if trial not in run.done:
                events_path(folder, trial).unlink()
        return run

    def append(self, row: Trial, kinds: list[KindCount], log: Log | None = None) -> None:
        """Write a finished trial, with its events if they are kept; its row in `trials.csv` is last and makes it count."""
        if log is not None:
            write_events(log, events_path(self.folder, row.trial))
        lines = b"".join(_line((kind.trial, kind.kind, kind.kind_class, kind.count, kind.bytes)) for kind in kinds)
        for name, data in (("kinds.csv", lines), ("trials.csv", _line(msgspec.structs.astuple(row)))):
            with (self.folder / name).open("ab", buffering=0) as file:
                file.write(data)
        self.done.add(row.trial)

    def write_manifest(self) -> None:
        """Replace `manifest.json` as a whole."""
        temporary = self.folder / "manifest.json.new"
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self.manifest), indent=2) + b"\n")
        temporary.replace(self.folder / "manifest.json")

    def point_latest(self) -> None:
        """Make `latest` beside the folder point to it, if the folder lies in one named `results`."""
        parent = self.folder.absolute().parent
        if parent.name == "results":
            link = parent / f".latest.{os.getpid()}"
            link.symlink_to(self.folder.name)
            link.replace(parent / "latest")


def events_path(folder: Path, trial: int) -> Path:
    """Where the events of a trial are, if they are kept."""
    return folder / "events" / f"{trial}.jsonl.gz"


def stored_events(folder: Path) -> list[int]:
    """The trials of a run whose events are kept, ascending."""
    return sorted(int(path.name.partition(".")[0]) for path in (folder / "events").glob("*.jsonl.gz"))


def read_row(folder: Path, trial: int) -> dict[str, str]:
    """The stored row of a trial as text by column; empty if it was not run."""
    with (folder / "trials.csv").open(newline="") as file:
        return next((row for row in csv.DictReader(file) if row["trial"] == str(trial)), {})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run.

    Raises:
        BadInput: if `folder` is no run, or one of another schema.
    """
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        raise BadInput(
            f"{str(folder)!r} is no run: it has no readable manifest.json; the newest is results/latest"
        ) from None
    if manifest.get("schema") != SCHEMA:
        raise BadInput(f"{str(folder)!r} has schema {manifest.get('schema')}; this version reads schema {SCHEMA}")
    return manifest
