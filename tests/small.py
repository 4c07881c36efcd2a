"""A game small enough to be trained many times in a test, on vectors of its own."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import pytest

import ganzfeld as gz
from ganzfeld.faces import cli

SETTINGS = {"width": 8, "depth": 1, "batch_size": 16}
STEPS = 48
EVERY = {"log_every": 8, "judge_every": 24, "checkpoint_every": 16}


def vectors(folder, n=200, name="x.npy", shift=0.0):
    """A file of n rows in the plane, on two lines."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.uniform(-1, 1, n), rng.choice([-1.0, 1.0], n)], 1) + 0.05 * rng.normal(size=(n, 2)) + shift
    path = folder / name
    np.save(path, x.astype(np.float32))
    return str(path)


def train(folder, data, paper="ns-gan", **asked):
    """A short run; whatever is asked for replaces what is small here."""
    settings = {**SETTINGS, **asked.pop("settings", {})}
    return gz.train(paper, data, out=folder, **{"steps": STEPS, "settings": settings, **EVERY, **asked})


def weights(folder):
    """The bytes of the newest checkpoint."""
    return sorted((folder / "checkpoints").glob("step-*"))[-1].joinpath("state.safetensors").read_bytes()


def ganzfeld(*words):
    """Runs a command: (exit code, standard output, standard error)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    return end.value.code, out.getvalue(), err.getvalue()


def environment():
    """For a process of its own: this package on its path, one thread."""
    source = str(Path(gz.__file__).parents[1])
    path = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
