"""`python -m benchmarks.live_proof run` searches and tests what the results lack; `report` writes tables.

`again` tests the best of both sides once more, with ten seeds. Studies live under --folder; a run that is
stopped goes on with them.
"""

import argparse
from pathlib import Path

from benchmarks.live_proof.cases import cases
from benchmarks.live_proof.report import live_report
from benchmarks.live_proof.run import again, run_case


def main() -> None:
    """Run cases, or report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_proof", description=__doc__)
    parser.add_argument("action", choices=["run", "again", "report"])
    parser.add_argument("--cases", nargs="+", choices=list(cases()), default=list(cases()))
    parser.add_argument("--folder", type=Path, default=Path("results") / "live-proof")
    parser.add_argument("--trial-workers", type=int, default=2)
    asked = parser.parse_args()
    if asked.action == "report":
        print(live_report())
        return
    for name in asked.cases:
        if asked.action == "again":
            again(cases()[name])
            continue
        run_case(cases()[name], folder=asked.folder.absolute(), trial_workers=asked.trial_workers)


if __name__ == "__main__":
    main()
