"""Small data of every kind, and the sizes with which any game is played in a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from small import vectors

FILES = {"vectors": "x.npy", "pictures": "p.npz", "interactions": "i.tsv", "letor": "l.txt"}
SMALL = {"batch_size": "8", "width": "4", "depth": "1", "latent": "4", "features": "4", "k": "2"}  # where it fits
SMALL |= {"start_steps": "2", "blocks": "1", "most": "8", "critic_width": "4", "rank": "2"}


def make(folder: Path) -> None:
    """The files, in a folder."""
    vectors(folder, 200)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    pictures = np.clip(rng.normal(60 * labels[:, None, None] + 40, 20, (120, 8, 8)), 0, 255)
    np.savez(folder / "p.npz", x=pictures.astype(np.uint8), y=labels)
    rows = [(u, i, rng.integers(1, 6)) for u in range(20) for i in rng.choice(15, 8, replace=False)]
    (folder / "i.tsv").write_text("".join(f"u{u}\titem{i}\t{r}\n" for u, i, r in rows))
    lines = []
    for query in range(30):
        for _ in range(6):
            x = rng.uniform(size=4)
            features = " ".join(f"{n + 1}:{v:.3f}" for n, v in enumerate(x))
            lines.append(f"{int(x[0] * 3)} qid:{query} {features}\n")
    (folder / "l.txt").write_text("".join(lines))
