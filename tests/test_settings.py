"""What a setting may be, and whether it would act: refused in one line before anything is made."""

import dataclasses
import importlib
import io
import math
import pkgutil
import subprocess
import sys

import pytest
import torch

import ganzfeld as gz
from ganzfeld import constraints, networks, optimizers, papers
from ganzfeld.core import values
from ganzfeld.draws import Hardest, Retrieve
from ganzfeld.papers.build import build, constraint_names, resolve
from ganzfeld.papers.unread import check_read, unread
from ganzfeld.runs.plan import StandIn
from small import environment, ganzfeld
from test_papers import DATA, RECORDS

BESIDE = (0, -1, 1, 1e9, 1e308, -math.inf, math.inf, math.nan, "", "x", True, None, (1, 2), [1], {}, 0.5, 10**30)


@pytest.mark.filterwarnings("ignore::ganzfeld.compatibility.Doubtful")
@pytest.mark.parametrize(("name", "form"), RECORDS)
def test_every_setting_takes_any_value_or_refuses_it_by_name(name, form):
    """The classes of data are the data's own."""
    sizes = {"width": 8, "critic_width": 8, "rank": 2}
    known = resolve(name, form, {})
    small = {key: size for key, size in sizes.items() if key in known and known[key] != size and form != "vectors"}
    for key in known.keys() - {"classes"}:
        for value in BESIDE:
            try:
                settings = {**small, key: value}
                resolve(name, form, settings)
                if form in ("vectors", "interactions"):
                    build(name, DATA[form], settings=settings)
            except ValueError as error:
                assert "\n" not in str(error) and len(str(error)) < 400
                assert any(word in str(error) for word in (key, "known positives", "draws", "none"))


POSITIVE = (gz.Clip, gz.Spectral, gz.Margin)
NOT_NEGATIVE = (gz.GradientPenalty, gz.Dragan, gz.R1, gz.R2, constraints.Decay)


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf, "1", True, None])
def test_no_constraint_has_a_weight_that_cannot_be(wrong):
    for kind in (*POSITIVE, *NOT_NEGATIVE):
        with pytest.raises(ValueError, match=f"{kind.__name__}: .* must be a "):
            kind(wrong)
    for kind in POSITIVE:
        with pytest.raises(ValueError, match="positive number, not 0"):
            kind(0)
    for kind in NOT_NEGATIVE:
        kind(0)


def test_no_optimizer_has_a_number_that_cannot_be():
    for make in (lambda: optimizers.sgd(1e-3, -0.1), lambda: optimizers.sgd(1e-3, 1.0),
                 lambda: optimizers.rmsprop(1e-3, 1.0), lambda: optimizers.rmsprop(1e-3, eps=0.0),
                 lambda: optimizers.adam(1e-3, (0.5, 1.0)), lambda: optimizers.adam(1e-3, (0.5,)),
                 lambda: optimizers.adam(1e-3, 0.5), lambda: optimizers.adam(1e-3, eps=-1e-8),
                 lambda: optimizers.optimistic_adam(math.nan)):  # fmt: skip
        with pytest.raises(ValueError, match="must be"):
            make()


def test_every_ranged_field_is_checked_where_its_record_is_made():
    """A record that says a range and did not hold its fields against it would be a word without a deed."""
    collection = DATA["interactions"].collection
    own = {Retrieve: {"collection": collection}, Hardest: {"collection": collection}, gz.Infer: {"latent": 2},
           gz.Generate: {"latent": 2}}  # fmt: skip
    kinds = (*constraints.TABLE.values(), *networks.TABLE.values(), *networks.RANKERS.values(), *own)
    found = 0
    for kind in (*kinds, gz.Schedule, optimizers.LRSchedule):
        for field in values.ranged_fields(kind):
            found += 1
            with pytest.raises(ValueError, match=rf"{kind.__name__}: {field} must be"):
                kind(**{**own.get(kind, {}), field: -1})
    assert found > 55


@pytest.mark.parametrize(
    "settings", [{"width": 2**20}, {"width": 4000, "depth": 1000}, {"latent": 2**20, "width": 8192}]
)
def test_networks_beyond_memory_are_counted_and_not_made(settings):
    with pytest.raises(ValueError, match=r"need .* GiB of memory, and there are .*width"):
        build("gan", StandIn((2,)), settings=settings)
    with pytest.raises(ValueError, match="width must be a whole number from 1 to 1,048,576"):
        build("gan", StandIn((2,)), settings={"width": 10**9})
    with pytest.raises(ValueError, match="depth must be a whole number from 1 to 1,000"):
        build("gan", StandIn((2,)), settings={"depth": 10**9})


@pytest.mark.parametrize("width", [10, 28, 40, 100])
def test_groups_divide_the_channels_of_any_width(width):
    for expand in (1, 2, 3):
        generator, critic = networks.R3(width=width, expand=expand).pair((1, 8, 8))
        with torch.no_grad():
            assert critic(generator(torch.zeros(2, 64))).shape == (2,)


def test_more_singular_values_than_features_are_refused():
    for name, settings, objective in (
        ("mcgan", {"k": 40}, None),
        ("mcgan-cov", {"k": 300, "form": "dual"}, None),
        ("gan", {"width": 8}, "covariance"),
    ):
        with pytest.raises(ValueError, match="singular values of the critic's features"):
            build(name, StandIn((2,)), settings=settings, objective=objective)
    build("mcgan", StandIn((2,)), settings={"k": 32})


# --- what would not act ---


@pytest.mark.parametrize(("name", "form"), RECORDS)
def test_every_default_is_read_or_would_be_refused_only_if_changed(name, form):
    assert unread(papers.TABLE[name], form, resolve(name, form, {})) == {}


WOULD_NOT_ACT = {
    "a replaced constraint's": ("wgan-gp", {"weight": "5"}, {"bound": ["r1"]}, r"weight would not act.*r1\.gamma"),
    "none in its place": ("wgan-gp", {"weight": "5"}, {"bound": ["none"]}, "in whose place there is none"),
    "two in its place": ("r3gan", {"gamma": 1}, {"bound": ["r1,r2"]}, r"r1\.gamma and r2\.gamma"),
    "a replaced objective's": ("fgan-kl", {"alternative": "false"}, {"objective": "hinge"}, "own objective.*hinge"),
    "a form's": ("mcgan-cov", {"k": "5"}, {}, "form=primal: rank"),
    "a head's": ("mcgan-mean", {"rank": "5"}, {}, "no head is bilinear"),
    "a warm-up's": ("wgan", {"warm": 0, "warm_steps": 3}, {}, "there is no warm-up"),
    "draws' where all is summed": ("irgan", {"draws": 4}, {}, "exact=false"),
    "a start's": ("irgan", {"start": "", "critic_start": False}, {}, "start=dns"),
}


@pytest.mark.filterwarnings("ignore::ganzfeld.compatibility.Doubtful")
@pytest.mark.parametrize("case", WOULD_NOT_ACT)
def test_a_setting_that_would_not_act_is_refused_with_what_does(case):
    name, settings, crossed, match = WOULD_NOT_ACT[case]
    form = papers.TABLE[name].forms[0]
    with pytest.raises(ValueError, match=match):
        check_read(papers.TABLE[name], form, settings, **crossed)
    build(name, DATA[form], settings=settings, **crossed)  # a run that is recorded so opens


def test_settings_that_act_are_let_through():
    for name, settings, crossed in (
        ("wgan-gp", {"weight": "5"}, {}), ("wgan-gp", {"r1.gamma": "5"}, {"bound": ["r1"]}),
        ("mcgan-cov", {"rank": 5}, {}), ("mcgan-cov", {"k": 5, "form": "dual"}, {}),
        ("irgan", {"draws": 4, "exact": False}, {}), ("geometric", {"batch_size": 32}, {"bound": ["r1"]}),
    ):  # fmt: skip
        check_read(papers.TABLE[name], papers.TABLE[name].forms[0], settings, **crossed)


def test_a_setting_of_a_constraint_asks_for_the_constraint():
    with pytest.raises(ValueError, match=r"r1\.gamma is of a constraint that is not asked for: add --constraint r1"):
        resolve("wgan-gp", "vectors", {"r1.gamma": 1})


def test_constraints_are_named_once_each_or_with_commas():
    assert constraint_names(["r1,spectral"]) == constraint_names(["r1", "spectral"]) == ["r1", "spectral"]
    assert constraint_names(["none"]) == constraint_names(None) == []
    for wrong, match in ((["r1", "r1"], "asked for 2 times"), (["none", "r1"], "none stands alone")):
        with pytest.raises(ValueError, match=match):
            constraint_names(wrong)


COMMANDS = {
    "two values of one": (["--set", "lr=1e-3", "--set", "lr=2e-3"], "--set lr is given twice, 1e-3 and 2e-3"),
    "two batches": (["--batch-size", "32", "--set", "batch_size=64"], "batch_size is given twice, 32 and 64"),
    "a negative weight": (["--constraint", "r1", "--set", "r1.gamma=-1"], "r1.gamma must be a number, 0 or more"),
    "one beta": (["--set", "betas=0.5"], "betas must be two numbers in [0, 1), as (0.5, 0.99), not 0.5"),
    "what is replaced": (["--constraint", "r1", "--set", "weight=2"], "weight would not act"),
    "a size": (["--set", "width=1000000000"], "width must be a whole number from 1 to"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_line_refuses_in_one_line_and_makes_nothing(case, tmp_path):
    words, match = COMMANDS[case]
    code, out, said = ganzfeld("train", "wgan-gp", "--data", "ring8", "--out", tmp_path / "run", "--steps", 1, *words)
    assert (code, out) == (2, "") and match in said and len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_two_constraints_with_a_comma_are_two_on_the_command_line(tmp_path):
    words = "--constraint", "r1,spectral", "--set", "r1.gamma=2", "--set", "lr=1e-3", "--set", "lr=1e-3", "--dry-run"
    code, out, _ = ganzfeld("train", "gan", "--data", "ring8", "--out", tmp_path / "run", *words)
    assert code == 0 and "R1(gamma=2.0), Spectral(norm=1.0, iterations=1)" in " ".join(out.split())


# --- f-GAN ---


@pytest.mark.parametrize("row", gz.divergences.TABLE)
def test_both_forms_of_f_gan_have_a_name_and_the_paper_chooses(row):
    bound, other = (gz.objectives.TABLE[f"fgan-{row}{end}"] for end in ("", "-alternative"))
    o = torch.linspace(-1, 1, 7, dtype=torch.float64)
    assert torch.equal(bound.critic(o, -o), other.critic(o, -o))
    assert torch.allclose(bound.generator(None, o), bound.critic(torch.zeros_like(o), o) - bound.critic(
        torch.zeros_like(o), torch.zeros_like(o)) + bound.generator(None, torch.zeros_like(o)))  # fmt: skip
    for alternative, named in ((False, bound), (True, other)):
        played = papers.TABLE[f"fgan-{row}"](StandIn((2,)), alternative=alternative).objective
        assert torch.equal(played.generator(None, o), named.generator(None, o))
    sentences = gz.objectives.SENTENCES
    assert "lowers it" in sentences[f"fgan-{row}"] and "raises" in sentences[f"fgan-{row}-alternative"]


# --- what papers say of themselves ---


HOMES = [importlib.import_module(f"ganzfeld.papers.{found.name}") for found in pkgutil.iter_modules(papers.__path__)]


@pytest.mark.parametrize(("name", "form"), [record for record in RECORDS if record[1] == "pictures"])
def test_a_paper_of_pictures_that_averages_weights_says_so(name, form):
    words = " ".join(next(home for home in HOMES if papers.TABLE[name] in vars(home).values()).__doc__.split())
    assert papers.TABLE[name].records[form].numbers["ema_half_life"].value
    assert "average" in words and "nothing is changed" not in words


# --- modules in a pickle ---


def test_every_network_goes_into_a_pickle_and_comes_out_elsewhere(tmp_path):
    shape, modules = (1, 16, 16), {}
    for name, kind in networks.TABLE.items():
        small = {key: 8 for key in ("width", "critic_width") if key in {f.name for f in dataclasses.fields(kind)}}
        modules |= {f"{name}{i}": m for i, m in enumerate((*kind(**small).pair(shape), *kind(**small).triple(shape)))}
    for name, kind in networks.RANKERS.items():
        form = "letor" if name == "perceptron" else "interactions"
        modules |= {f"{name}{i}": m for i, m in enumerate(kind().pair(DATA[form].collection))}
    path = tmp_path / "modules.pt"
    torch.save(modules, path)
    sums = {name: float(sum(p.detach().double().sum() for p in m.parameters())) for name, m in modules.items()}
    code = (
        f"import torch; found = torch.load({str(path)!r}, weights_only=False); "
        "add = lambda m: float(sum(p.detach().double().sum() for p in m.parameters())); "
        f"assert {{name: add(m) for name, m in found.items()}} == {sums!r}; "
        "[layer.reset_parameters() for m in found.values() for layer in m.modules() if hasattr(layer, 'init')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())
    with pytest.raises(Exception, match=r"pickle|lambda"):  # what a function without a name does to it
        modules["dcgan0"][0].init = lambda weight: weight
        torch.save(modules, io.BytesIO())
