"""All benchmarks, one after the other, with their pictures and figures in one folder.

    python benchmarks/all.py [--quick] [--out FOLDER]

Each is also a command, `fumehood bench NAME`; this is for keeping a set of figures that were taken together. Half an hour on two
cores, `--quick` five minutes and less to be relied on. Leave the machine alone meanwhile: the yardsticks feel the same load, but
the scatter grows. Exit code 1: a budget was not met, or a run did not end as it must.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FULL = {
    "humaneval": ["--workers", "1,2,4,8", "--runs", "3"],
    "torch": ["--runs", "200", "--docker-runs", "10"],
    "container": ["--runs", "40"],
    "queue": ["--runs", "10,100,1000,10000"],
}
QUICK = {
    "humaneval": ["--workers", "2", "--runs", "1"],
    "torch": ["--runs", "20", "--docker-runs", "2"],
    "container": ["--runs", "6"],
    "queue": ["--runs", "10,100,1000"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("bench"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    worst = 0
    for name, arguments in (QUICK if options.quick else FULL).items():
        print(f"{name}:", file=sys.stderr)
        command = [Path(sys.executable).parent / "fumehood", "bench", name, *arguments, "--json"]
        done = subprocess.run([*command, "--plot", options.out / f"{name}.png"], stdout=subprocess.PIPE, check=False)
        (options.out / f"{name}.json").write_bytes(done.stdout)
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
