"""Which papers cover the modes, at their defaults, over ten seeds: the tables of results/modes.md.

    python benchmarks/modes.py --out runs/modes [--jobs 2] [--papers ...] [--worlds ring8 grid25]

Nothing is selected: every paper named is reported, with the final state of every seed. Resumable.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ganzfeld.faces.comparison import compare, print_comparison
from ganzfeld.papers import papers_for

STEPS = {"ring8": 4_000, "grid25": 8_000}


def verdict(result: dict, total: int) -> None:
    """How many papers cover all modes with every seed, and how many do so with nine samples in ten of high quality."""
    whole = [r for r in result["rows"] if min(r["metrics"]["modes"]["per_member"]) == total]
    sharp = [r for r in whole if r["metrics"]["high_quality"]["mean"] >= 0.9]
    print(f"all {total} modes with every seed: {len(whole)} papers ({', '.join(r['paper'] for r in whole)})")
    print(f"... and at least 90 % of high quality: {len(sharp)} ({', '.join(r['paper'] for r in sharp)})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--papers", nargs="+", default=papers_for("vectors"))
    parser.add_argument("--worlds", nargs="+", default=list(STEPS))
    asked = parser.parse_args()
    for world in asked.worlds:
        result = compare(
            asked.papers, world, asked.out / world, seeds=asked.seeds, steps=STEPS[world], jobs=asked.jobs,
            resume=True, say=print,
        )  # fmt: skip
        print_comparison(result)
        verdict(result, {"ring8": 8, "grid25": 25}[world])


if __name__ == "__main__":
    main()
