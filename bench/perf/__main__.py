"""`make perf`: measure the table, print it and write it.

python -m bench.perf                     all of it, about ten minutes, to results/perf.json and .md
python -m bench.perf hop trials          what is named only; the other rows in those files stay
"""

import sys
from pathlib import Path

from bench.catalogue import print_rows
from bench.perf.table import COLUMNS, MEASURES, cells, measure, write


def main(names: list[str]) -> int:
    """Measure what is named, or all."""
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        print(f"bench.perf: nothing is called {unknown[0]!r}; there are {', '.join(MEASURES)}", file=sys.stderr)
        return 2
    results = []
    for result in measure(names or list(MEASURES)):
        results.append(result)
        print(*filter(None, cells(result)), sep=" | ", file=sys.stderr, flush=True)
    print_rows(COLUMNS, [cells(result) for result in results])
    write(results, Path("results/perf.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
