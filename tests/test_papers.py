"""Papers are data: every number has a source and a meaning, every record makes a game, settings are read by name."""

import dataclasses
import itertools
import subprocess
import sys
import typing

import pytest
import torch

import ganzfeld as gz
from ganzfeld import draws, networks, papers
from ganzfeld.augment import POLICIES
from ganzfeld.core.names import RENAMED, new_name, rename
from ganzfeld.data import Collection
from ganzfeld.networks import MLP, Featured
from ganzfeld.optimizers import LR_SCHEDULES, LRSchedule
from ganzfeld.papers.build import KINDS, build, make_networks, resolve, types_of
from ganzfeld.papers.defaults import PLANE_ADAM
from ganzfeld.papers.irgan import ABLATIONS, USUAL
from ganzfeld.papers.paper import Choice, Number, Paper, Record, part
from ganzfeld.papers.settings import SETTINGS, SIZES
from ganzfeld.runs.plan import StandIn
from small import environment

PAIRS = torch.tensor([[0, 0], [1, 2], [2, 1]])
DATA = {
    "vectors": StandIn((2,)),
    "pictures": StandIn((1, 16, 16), form="pictures"),
    "interactions": StandIn((3, 4), "interactions", Collection(3, 4, PAIRS)),
    "letor": StandIn((3, 4, 2), "letor", Collection(3, 4, PAIRS, torch.zeros(3, 4, 2))),
}
RECORDS = [(name, form) for name, paper in papers.TABLE.items() for form in paper.forms]
SMALL = {"resnet": {"width": 8, "critic_width": 8}, "mlp": {"width": 16}, "factors": {"rank": 2}}


@pytest.mark.parametrize(("name", "form"), RECORDS)
def test_every_number_has_a_source_and_a_meaning(name, form):
    paper = papers.TABLE[name]
    record = paper.records[form]
    assert paper.title.endswith(".") and any(year.isdigit() for year in paper.citation.replace(",", "").split())
    assert record.numbers.keys() <= SETTINGS.keys()
    assert record.sizes.keys() <= types_of(KINDS[record.network]).keys() <= SIZES.keys()
    rows = papers.describe(name, form)
    assert {row.setting: row.default for row in rows} == resolve(name, form, {})
    assert all(len(row.source) > 5 and row.meaning for row in rows)


def test_nothing_is_explained_that_no_paper_has():
    records = [papers.TABLE[name].records[form] for name, form in RECORDS]
    assert SETTINGS.keys() == {name for record in records for name in record.numbers}
    assert SIZES.keys() == {size for kind in KINDS.values() for size in types_of(kind)}


@pytest.mark.parametrize(("name", "form"), RECORDS)
def test_every_number_is_read(name, form):
    """A spare number would be a setting that does nothing."""
    paper, record = papers.TABLE[name], papers.TABLE[name].records[form]
    read = paper.settings(record)
    of_all = {"lr", "critic_lr", "lr_schedule", "lr_warm_up", "batch_size"}
    of_generators = {"generator_lr", "n_critic"}
    of_samples = {*of_generators, "ema_half_life", "share_fakes", "warm", "warm_steps", "warm_every", "at_once"}
    of_rankers = {*of_generators, "n_generator", "start", "start_steps", "critic_start", "bias_only"}
    own = (
        of_rankers
        if form in ("interactions", "letor")
        else of_samples | ({"classes", "augment"} & record.numbers.keys())
    )
    assert record.numbers.keys() - read <= of_all | own
    assert of_all <= record.numbers.keys()
    assert bool(of_generators & record.numbers.keys()) == (name not in ("dns", "bpr"))  # which have no generator


@pytest.mark.filterwarnings("ignore::ganzfeld.compatibility.Doubtful")
@pytest.mark.parametrize(("name", "form"), RECORDS)
def test_every_record_makes_its_game(name, form):
    paper = papers.TABLE[name]
    record = paper.records[form]
    sizes = SMALL.get(record.network, {})
    for setting, values in [(None, [None]), *paper.choices(record).items()]:
        for value in values:
            game = paper(DATA[form], **({setting: value} if setting else {}), **sizes)
            assert game.citation == paper.citation and game.shape == DATA[form].shape
            assert game.batch_size == record.numbers["batch_size"].value
    default = paper(DATA[form], **sizes)
    assert default.optimizers["critic"].lr > 0 and set(default.optimizers) == set(default.roles)


@pytest.mark.filterwarnings("ignore::ganzfeld.compatibility.Doubtful")
@pytest.mark.parametrize(("name", "form"), RECORDS)
def test_every_paper_has_two_rates(name, form):
    paper = papers.TABLE[name]
    sizes = SMALL.get(paper.records[form].network, {})
    both = (
        paper(DATA[form], lr=0.25, optimizer="sgd", batch_size=1, **sizes)
        if form in ("interactions", "letor")
        else (paper(DATA[form], lr=0.25, **sizes))
    )
    assert {rule.lr for rule in both.optimizers.values()} == {0.25}
    apart = paper(DATA[form], lr=0.25, critic_lr=0.5, **sizes)
    assert apart.optimizers["critic"].lr == 0.5
    if apart.generators:
        assert apart.optimizers["generator"].lr == 0.25
        assert paper(DATA[form], lr=0.25, generator_lr=0.125, **sizes).optimizers["generator"].lr == 0.125


@pytest.mark.parametrize("name", ["ns-gan", "bpr"])
def test_a_schedule_of_rates_can_warm_up(name):
    form = papers.TABLE[name].forms[0]
    settings = {"lr_schedule": "cosine", "lr_warm_up": "4"}
    factor = build(name, DATA[form], settings=settings).lr_schedule
    assert factor == LRSchedule("cosine", 4)
    assert [factor(step, 12) for step in (4, 8)] == pytest.approx([1, 0.5])
    assert build(name, DATA[form]).lr_schedule == LRSchedule("linear")


@pytest.mark.parametrize("kind", USUAL)
def test_rankers_ask_for_rates_of_their_own_unless_some_are_given(kind):
    form = "letor" if kind == "perceptron" else "interactions"
    usual = {key: number.value for key, number in USUAL[kind].items()}
    game = build("irgan", DATA[form], network=kind)
    assert {role: game.optimizers[role].lr for role in game.roles} == {
        "critic": usual["critic_lr"], "generator": usual["generator_lr"]
    }  # fmt: skip
    assert game.start == usual["start"] and game.constraints[0].weight == usual["critic_decay"]
    given = build("irgan", DATA[form], network=kind, settings={"lr": 0.5, "start": "", "critic_decay": 0})
    assert {given.optimizers[role].lr for role in game.roles} == {0.5}
    assert given.start == "" and given.constraints == ()


def test_forms_decide_and_a_paper_that_does_not_fit_says_which_do():
    assert type(papers.wgan_gp(DATA["vectors"]).critic.features[0]) is torch.nn.Linear
    assert papers.wgan_gp(DATA["pictures"], width=8, critic_width=8).constraints == (gz.GradientPenalty(10.0),)
    for name, form in itertools.product(papers.TABLE, DATA):
        fits = form in papers.TABLE[name].forms
        assert (name in papers.papers_for(form)) == fits
        if not fits:
            with pytest.raises(ValueError, match=", ".join(papers.papers_for(form))):
                build(name, DATA[form])
    assert {form: len(papers.papers_for(form)) for form in DATA} == {
        "vectors": 23, "pictures": 10, "interactions": 4, "letor": 3
    }  # fmt: skip


def test_data_say_their_form():
    digits = gz.data.digits()
    assert [rows.form for rows in (gz.data.ring8(), digits, digits.as_pictures(), gz.data.tastes())] == [
        "vectors", "vectors", "pictures", "interactions"
    ]  # fmt: skip


def test_a_paper_of_ones_own_needs_no_table():
    numbers = {**PLANE_ADAM, "lr": Number(1e-3, "a guess"), "weight": Number(0.5, "a guess")}
    mine = Paper(
        "mine",
        "The hinge game under a gradient penalty.",
        "Nobody 2026",
        "hinge",
        {"vectors": Record("mlp", numbers)},
        (part("gradient-penalty", "weight"),),
    )
    game = mine(DATA["vectors"], weight=2)
    assert game.objective is gz.objectives.hinge and game.constraints == (gz.GradientPenalty(2.0),)
    with pytest.raises(ValueError, match="did you mean 'weight'"):
        mine(DATA["vectors"], wieght=2)
    with pytest.raises(ValueError, match="mine is a paper of vectors, and these are users with items: use irgan"):
        mine(DATA["interactions"])
    with pytest.raises(ValueError, match="these are melodies: use a Game of your own"):
        mine(StandIn((2,), "melodies"))


def test_a_paper_without_a_number_or_a_meaning_is_refused():
    def made(*constraints, **more):
        numbers = {**PLANE_ADAM, "lr": Number(1e-3, "a guess"), **more}
        return Paper("mine", "Mine.", "Nobody 2026", "hinge", {"vectors": Record("mlp", numbers)}, constraints)

    with pytest.raises(ValueError, match="mine reads weight, and has no number of it for vectors"):
        made(part("gradient-penalty", "weight"))
    with pytest.raises(ValueError, match="mine reads payoff"):
        made(Choice("payoff", {"hinge": None}))
    with pytest.raises(ValueError, match="a number of strength, which settings.py does not explain"):
        made(strength=Number(1.0, "a guess"))
    assert made(part("gradient-penalty", weight=2.0))(DATA["vectors"]).constraints == (gz.GradientPenalty(2.0),)


def test_networks_of_another_kind_or_by_hand_keep_the_papers_numbers():
    game = papers.dns(DATA["letor"], Featured(7))
    assert game.critic.layers[0].out_features == 7
    assert build("mcgan", DATA["vectors"]).critic.width == 32
    assert make_networks(papers.bigan.records["pictures"]).norm == "batch"
    assert make_networks(papers.bigan.records["pictures"], "dcgan") == networks.DCGAN()


def test_types_that_are_said_twice_agree():
    """Papers do not import torch, so some lists of names stand there once more."""
    hints = typing.get_type_hints(draws.Retrieve)
    for name in ("baseline", "negatives"):
        assert SETTINGS[name].type == hints[name]
    assert set(typing.get_args(SETTINGS["lr_schedule"].type)) == LR_SCHEDULES.keys()
    assert all(policy in SETTINGS["augment"].meaning for policy in POLICIES)


def test_ablations_are_settings_of_irgan_and_change_it():
    for own in ABLATIONS.values():
        values = resolve("irgan", "interactions", own)
        assert values != resolve("irgan", "interactions", {})


def test_papers_are_read_without_torch():
    code = (
        "import sys, types, pathlib; package = types.ModuleType('ganzfeld'); "
        f"package.__path__ = [{str(papers.__path__[0])!r} + '/..']; sys.modules['ganzfeld'] = package; "
        "import ganzfeld.papers as p; assert p.TABLE['wgan-gp'].records['pictures'].numbers['weight'].value == 10; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())


# --- settings ---


def test_no_paper_gives_a_setting_the_name_of_a_size_that_its_networks_can_have():
    for name, form in RECORDS:
        record = papers.TABLE[name].records[form]
        own = networks.RANKERS if record.network in networks.RANKERS else networks.TABLE
        assert not record.numbers.keys() & {size for kind in own.values() for size in types_of(kind)}


def test_a_plan_holds_every_setting_so_that_new_defaults_do_not_change_an_old_run():
    values = resolve("mcgan-mean", "vectors", {"lr": "2e-4"})
    numbers = papers.mcgan_mean.records["vectors"].numbers
    defaults = {name: number.value for name, number in numbers.items()}
    assert values == {**defaults, **dataclasses.asdict(MLP()), "lr": 2e-4}
    assert resolve("mcgan-mean", "vectors", values) == values  # once resolved, nothing is left to the defaults


def test_settings_are_read_with_their_types():
    game = build("r1gan", DATA["vectors"], settings={"lr": "1e-4", "gamma": "2", "betas": "(0, .9)", "width": "8"})
    assert game.optimizers["critic"].lr == 1e-4
    assert game.constraints == (gz.R1(2.0),)
    game = build("ns-gan", DATA["vectors"], bound=["gradient-penalty"], settings={"gradient-penalty.weight": "3"})
    assert game.constraints == (gz.GradientPenalty(3.0),)
    assert build("mcgan-mean", DATA["vectors"], settings={"q": "inf", "form": "dual"}).objective.features


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"lrr": "1"}, "did you mean 'lr'"),
        ({"lr": "fast"}, "lr must be a positive number, not 'fast'"),
        ({"lr": "nan"}, "positive"),
        ({"lr": "-1"}, "positive"),
        ({"width": "1.5"}, "whole number"),
        ({"width": "0"}, "width must be a whole number from 1 to"),
        ({"latent": "0"}, "latent must be a whole number from 1 to"),
        ({"activation": "swish"}, "'relu'"),
        ({"batch_size": "-4"}, "batch"),
        ({"lr_schedule": "wavy"}, "linear"),
        ({"ema_half_life": "-1"}, "half_life"),
        ({"lr": "none"}, "lr must be a positive number, not None"),
        ({"latent": "1.5"}, "latent must be a whole number from 1 to 1,048,576 or none, not 1.5"),
        ({"betas": "x"}, r"betas must be two numbers in \[0, 1\), as \(0.5, 0.99\), not 'x'"),
    ],
)
def test_bad_settings_are_refused_by_name(settings, match):
    with pytest.raises(ValueError, match=match):
        build("ns-gan", DATA["vectors"], settings=settings)


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in RENAMED.items() if new in SETTINGS])
def test_a_setting_of_before_is_told_its_name_of_today(old, new):
    """Of the first paper that has it; a name that no version had is only told its nearest."""
    name, form = next((n, f) for n, f in RECORDS if new in papers.TABLE[n].records[f].numbers)
    with pytest.raises(ValueError, match=f"no setting named '{old}'; {old} is now {new_name(old, name)}$"):
        resolve(name, form, {old: "1"})
    if new not in papers.bpr.records["interactions"].numbers:
        with pytest.raises(ValueError, match="did you mean|there are"):
            resolve("bpr", "interactions", {old: "1"})


def test_the_rate_of_irgan_was_its_policys():
    with pytest.raises(ValueError, match="rate is now generator_lr"):
        resolve("irgan", "interactions", {"rate": 1})
    old = {"rate": 0.1, "critic_rate": 0.2, "rule": "sgd", "rank": 3}
    assert rename(old, "irgan") == {"generator_lr": 0.1, "critic_lr": 0.2, "optimizer": "sgd", "rank": 3}
    assert rename(old) == {"lr": 0.1, "critic_lr": 0.2, "optimizer": "sgd", "rank": 3}
    assert rename(rename(old, "irgan"), "irgan") == rename(old, "irgan")
    assert build("irgan", DATA["interactions"], settings=rename(old, "irgan")).optimizers["generator"].lr == 0.1 * 3
