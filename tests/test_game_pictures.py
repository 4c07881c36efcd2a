"""Games of pictures: the shared fake batch, labels, augmentation, and every paper and crossing on pictures."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch

import ganzfeld as gz
from ganzfeld import engine as engines
from ganzfeld.augment import Augment, colour, cutout, translation
from ganzfeld.core import tree
from ganzfeld.engine import Engine, turns
from ganzfeld.networks import DCGAN, R3, SNDCGAN, ResNet
from ganzfeld.papers.build import build
from ganzfeld.runs.plan import StandIn
from small import weights

SHAPE = StandIn((1, 8, 8), form="pictures")
NETWORKS = {
    "dcgan": DCGAN(width=4, latent=8), "wgan": DCGAN(width=4, latent=8), "lsgan": DCGAN(width=4, latent=8),
    "geometric": DCGAN(width=4, latent=8), "mcgan-cov": DCGAN(width=4, latent=8, critic_norm="none", features=16),
    "wgan-gp": ResNet(width=8, critic_width=8, latent=8, pool="mean"), "sngan": SNDCGAN(width=4, latent=8),
    "r3gan": R3(width=8, most=16, groups=4, latent=8),
}  # fmt: skip


def game(paper, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gz.papers.TABLE[paper](SHAPE, NETWORKS[paper], batch_size=8, **settings)


def played(game, steps=4, seeds=(3,), mode="eager"):
    engine = Engine(game, gz.data.digits().as_pictures(), seeds, steps, mode)
    engine.start()
    step, records = 0, {}
    while step < steps:
        step, found = engine.advance(step, steps)
        for name, values in found.items():
            records.setdefault(name, []).append(values)
    return engine.states(), {name: torch.cat(values, 1) for name, values in records.items()}


@pytest.mark.parametrize("paper", NETWORKS)
def test_every_paper_of_pictures_plays_and_moves_both_players(paper):
    g = game(paper, **({"warm": 0} if paper in ("wgan", "mcgan-cov") else {}))
    before = g.init(3)
    [after], records = played(g)
    for player in ("critic", "generator"):
        assert any((a != b).any() for a, b in zip(
            tree.leaves(before["params"][player]), tree.leaves(after["params"][player]), strict=True))  # fmt: skip
    assert all(torch.isfinite(values).all() for values in records.values())


def test_one_fake_batch_for_both_turns_is_the_same_game():
    """The shared evaluation against the plain one, whose generator's turn makes the same fakes again."""
    g = game("dcgan")
    [fast], _ = played(g)
    [slow], _ = played_plainly(g)
    for a, b in zip(tree.leaves(fast), tree.leaves(slow), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    [other], _ = played(dataclasses.replace(g, share_fakes=False))
    gap = [(a - b).abs().max() for a, b in zip(tree.leaves(fast["params"]), tree.leaves(other["params"]), strict=True)]
    assert max(gap) > 1e-4


def played_plainly(g, steps=4):
    before = turns.shared
    turns.shared = lambda game, gather: {r: engines.slope(game, (r,), "eager", False, gather) for r in engines.ROLES}
    try:
        return played(g, steps)
    finally:
        turns.shared = before


def test_shared_turns_equal_a_plain_loop_with_modules():
    """DCGAN as pytorch/examples plays it: one fake batch, detached for the critic, whole for the generator."""
    g = game("dcgan", lr=1e-3)
    data = gz.data.digits().as_pictures()
    engine = Engine(g, data, [3], 3)
    engine.start()
    generator, critic = g.generators["generator"], g.critic
    with torch.no_grad():
        for name, net in (("generator", generator), ("critic", critic)):
            for key, p in net.named_parameters():
                p.copy_(engine.groups[0]["params"][name][key])
    optimizers = {n: torch.optim.Adam(m.parameters(), 1e-3, (0.5, 0.999)) for n, m in (("d", critic), ("g", generator))}
    softplus = torch.nn.functional.softplus
    for step in range(3):
        batches, noises = engine._deal(engine._dealers[0], ("critic", "generator"), {"critic": step, "generator": step})
        real, fake = batches["critic"]["x"][0], generator(noises["critic"]["z"][0])
        optimizers["d"].zero_grad()
        (softplus(-critic(real)).mean() + softplus(critic(fake.detach())).mean()).backward()
        optimizers["d"].step()
        optimizers["g"].zero_grad()
        softplus(-critic(fake)).mean().backward()
        optimizers["g"].step()
    played(g, 3)
    step = 0
    while step < 3:
        step, _ = engine.advance(step, 3)
    for key, p in generator.named_parameters():
        assert torch.allclose(p, engine.groups[0]["params"]["generator"][key], atol=2e-5), key


def test_a_population_of_pictures_equals_its_members_alone():
    g = game("sngan")
    together, _ = played(g, seeds=(3, 4))
    alone = [played(g, seeds=(seed,))[0][0] for seed in (3, 4)]
    for a, b in zip(together, alone, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


@pytest.mark.parametrize("paper", NETWORKS)
def test_gradients_by_torch_func_are_those_by_autograd(paper):
    """The two back ends, on convolutions that are differentiated twice in two ways."""
    g = dataclasses.replace(game(paper), share_fakes=False)
    engine = Engine(g, gz.data.digits().as_pictures(), [3], 8)
    engine.start()
    state = tree.map(torch.Tensor.double, engine.groups[0])
    batches, noises = engine._deal(engine._dealers[0], ("critic", "generator"), {"critic": 0, "generator": 0})
    for role in ("critic", "generator"):
        batch = tuple(x[0].double() for x in batches[role].values())
        noise = {name: draw[0].double() for name, draw in noises[role].items()}
        one, two = (
            engines.slope(g, (role,), mode, mapped=False)(state, batch, noise) for mode in ("eager", "compiled")
        )
        for a, b in zip(tree.leaves(one[0][role]), tree.leaves(two[0][role]), strict=True):
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)
        assert one[1][1].keys() == two[1][1].keys() and any(bool(x.any()) for x in tree.leaves(one[0][role]))


@pytest.mark.slow
@pytest.mark.parametrize("paper", ["dcgan", "wgan-gp"])
def test_compiled_pictures_equal_eager_ones(paper):
    g = game(paper)
    (eager,), _ = played(g, 8)
    (compiled,), _ = played(g, 8, mode="compiled")
    for a, b in zip(tree.leaves(eager["params"]), tree.leaves(compiled["params"]), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("objective", ["minimax", "hinge", "wasserstein", "relativistic", "fgan-kl", "covariance"])
def test_every_kind_of_objective_crosses_with_pictures(objective):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sizes = {"width": 4, "critic_norm": "none", "features": 16, "batch_size": 8}
        g = build("dcgan", SHAPE, objective=objective, bound=["spectral"], settings=sizes)
    states, records = played(g, 2)
    assert all(torch.isfinite(values).all() for values in records.values())


def test_a_paper_without_settings_for_pictures_says_the_way_out():
    with pytest.raises(ValueError, match="dcgan --objective"):
        build("ns-gan", SHAPE)
    with pytest.raises(ValueError, match="dcgan, lsgan, wgan"):
        build("ns-gan", SHAPE)
    assert build("ns-gan", SHAPE, network="dcgan").citation == gz.papers.ns_gan.citation
    with pytest.raises(ValueError, match="paper of pictures, and these are vectors: use gan, ns-gan"):
        build("dcgan", StandIn((2,)))


def test_gradient_penalty_and_batch_norm_are_refused_for_pictures_too():
    with pytest.raises(ValueError, match="layer norm"):
        gz.papers.wgan_gp(StandIn((1, 16, 16), form="pictures"), DCGAN(width=4))


# --- labels ---


def test_labels_of_the_batch_are_those_of_its_rows():
    seen = []
    g = game("dcgan", classes=10)
    data = gz.data.digits().as_pictures()
    draw = g.draw

    class Watching(gz.draws.Draw):
        columns, needs = staticmethod(draw.columns), staticmethod(draw.needs)

        def __call__(self, players, batch, noise, role):
            seen.append(batch)
            return draw(players, batch, noise, role)

    watched = dataclasses.replace(g, draw=Watching())
    seen.clear()  # of the rehearsal
    played(watched, 1)
    x, y = seen[0]
    for picture, label in zip(x, y, strict=True):
        [row] = [i for i, r in enumerate(data.train) if torch.equal(r, picture)][:1]
        assert data.labels.train[row] == label


@pytest.mark.parametrize("paper", ["dcgan", "sngan", "wgan-gp", "wgan", "geometric", "r3gan"])
def test_a_game_with_labels_plays_under_every_constraint(paper):
    settings = {"warm": 0} if paper == "wgan" else {}
    g = game(paper, classes=10, **settings)
    before = g.init(3)["params"]
    [after], records = played(g, 2)
    assert all(torch.isfinite(values).all() for values in records.values())
    told = [name for name in tree.flatten(before) if "classes" in name]
    assert told and all((tree.flatten(before)[n] != tree.flatten(after["params"])[n]).any() for n in told)


@pytest.mark.parametrize("constraint", [gz.constraints.Margin(), gz.constraints.Ball()])
def test_constraints_of_the_last_layer_are_played_with_labels(constraint):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        g = gz.papers.dcgan(SHAPE, DCGAN(width=4, latent=8, critic_norm="none"), batch_size=8, classes=10)
        g = dataclasses.replace(g, constraints=(constraint,), objective=gz.objectives.wasserstein)
    [alone], _ = played(g, 2)
    [_, other], _ = played(g, 2, seeds=(2, 3))
    for a, b in zip(tree.leaves(alone["params"]), tree.leaves(other["params"]), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    plane = [w for name, w in alone["params"]["critic"].items() if name in ("head.score.weight", "head.classes.weight")]
    if constraint == gz.constraints.Ball():
        assert float(torch.cat(plane).norm()) <= 1 + 1e-6


def labelled_head(classes=5, width=7):
    critic = gz.networks.Critic(torch.nn.Identity(), width, classes=classes).double()
    weights = {name: p.detach() for name, p in critic.named_parameters()}
    return critic, weights, torch.cat([weights["head.score.weight"], weights["head.classes.weight"]])


def test_a_projection_is_one_hyperplane_of_joint_features():
    critic, weights, plane = labelled_head()
    x, y = torch.randn(30, 7, dtype=torch.float64), torch.randint(5, (30,))
    told = torch.nn.functional.one_hot(y, 5).double()
    joint = torch.cat([x, (told.unsqueeze(2) * x.unsqueeze(1)).flatten(1)], 1)
    assert torch.allclose(critic(x, y), joint @ plane.flatten() + weights["head.score.bias"])
    decay = gz.constraints.Margin(cost=2.0, points=30).penalty(gz.constraints.CriticTurn(critic, weights))
    assert float(decay) == pytest.approx(float(plane.square().sum()) / (2 * 30 * 2.0))


@pytest.mark.parametrize("q", [1, 2, float("inf")])
def test_the_ball_of_a_projection_is_that_of_joint_features(q):
    _, weights, plane = labelled_head()
    ball, far = gz.constraints.Ball(q), {name: 4 * w for name, w in weights.items()}
    near = ball.project(far)
    whole = ball.project({"head.weight": 4 * plane.flatten()[None]})["head.weight"]
    assert torch.allclose(torch.cat([near["head.score.weight"], near["head.classes.weight"]]).flatten()[None], whole)
    assert torch.equal(near["head.score.bias"], far["head.score.bias"])
    stack = ball.project({name: torch.stack([w, w / 9]) for name, w in far.items()})
    assert torch.allclose(stack["head.classes.weight"][0], near["head.classes.weight"])
    alone = [ball.project({"head.weight": row[None]})["head.weight"] for row in far["head.classes.weight"]]
    assert q == 1 or not torch.allclose(torch.cat(alone), near["head.classes.weight"])  # class by class bites


def test_a_run_with_labels_is_sampled_by_class(tmp_path):
    settings = {"width": 4, "latent": 8, "batch_size": 16}
    run = gz.train("dcgan", "digits", out=tmp_path / "run", steps=16, settings=settings, labels=True)
    assert run.classes == tuple("0123456789") and gz.load(tmp_path / "run").classes == run.classes
    three, four = run.sample(5, label=3), run.sample(5, label=4)
    assert not torch.equal(three, four)
    assert torch.equal(three, run.sample(64, label=3)[:5])
    with pytest.raises(ValueError, match="no class 10"):
        run.sample(5, label=10)


def test_labels_are_asked_of_data_that_have_them(tmp_path):
    data = dataclasses.replace(gz.data.digits().as_pictures(), labels=None)
    with pytest.raises(ValueError, match="no labels"):
        gz.train(game("dcgan", classes=10), data, out=tmp_path / "run", steps=8)


# --- a run ---


def test_resume_of_pictures_continues_the_same_trajectory(tmp_path):
    asked = {"settings": {"width": 4, "latent": 8, "batch_size": 16}, "checkpoint_every": 8, "labels": True}
    gz.train("dcgan", "digits", out=tmp_path / "whole", steps=16, **asked)
    gz.train("dcgan", "digits", out=tmp_path / "cut", steps=8, **asked)
    gz.train("dcgan", "digits", out=tmp_path / "cut", steps=16, resume=True, **asked)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_fewer_pictures_than_a_batch_are_refused_before_the_first_step(tmp_path):
    with pytest.raises(ValueError, match="fewer than a batch of 4000"):
        gz.train("dcgan", "digits", out=tmp_path / "run", steps=8, batch_size=4000)
    assert not (tmp_path / "run").exists()


def test_truncation_keeps_latents_inside_and_their_order():
    from ganzfeld.tasks.modules import truncate

    z = torch.randn(1000)
    near = truncate(z, 0.5)
    assert near.abs().max() <= 0.5 and torch.equal(near.argsort(), z.argsort())
    assert torch.allclose(truncate(z, 20.0), z, atol=1e-5)
    with pytest.raises(ValueError, match="positive"):
        truncate(z, 0.0)


# --- augmentation ---


def test_translation_moves_whole_pixels_and_fills_with_grey():
    x = torch.randn(64, 2, 16, 16)
    rng = torch.rand(64, 2)
    moved = translation(x, rng)
    for before, after, (a, b) in zip(x, moved, rng, strict=True):
        down, right = int(a * 5) - 2, int(b * 5) - 2  # an eighth of 16 either way
        by_hand = torch.zeros_like(before)
        rows, columns = slice(max(0, down), 16 + min(0, down)), slice(max(0, right), 16 + min(0, right))
        back = slice(max(0, -down), 16 + min(0, -down)), slice(max(0, -right), 16 + min(0, -right))
        by_hand[:, rows, columns] = before[:, back[0], back[1]]
        assert torch.equal(after, by_hand)


def test_cutout_removes_one_square_of_half_the_side():
    x = torch.ones(256, 1, 16, 16)
    gone = (cutout(x, torch.rand(256, 2)) == 0).flatten(1).sum(1)
    assert gone.max() == 64 and gone.min() >= 16  # a corner cuts a quarter of the square off, at most three
    centre = cutout(torch.ones(1, 1, 16, 16), torch.tensor([[0.5, 0.5]]))
    assert int((centre == 0).sum()) == 64


def published_holes(n, side, rng, share=0.5):
    """How often each pixel is cut, by the law of the authors' code, one picture at a time: the square's middle is one
    of the pixels where its side is odd, and else one of the edges between and around them."""
    hole, cut = int(side * share + 0.5), np.zeros((side, side))
    for _ in range(n):
        lines = []
        for _ in range(2):
            middle = rng.integers(0, side + (1 - hole % 2))
            lines.append({min(max(middle - hole // 2 + i, 0), side - 1) for i in range(hole)})
        for row in lines[0]:
            cut[row, list(lines[1])] += 1
    return cut / n


@pytest.mark.parametrize("side", [8, 6, 5])
def test_cutout_follows_the_published_law(side):
    """Of 8 x 8 every corner in one of nine; with as many places as pixels one corner had .063 and another .141."""
    n = 20_000
    dice = torch.rand(n, 2, generator=torch.Generator().manual_seed(0))
    ours = (cutout(torch.ones(n, 1, side, side), dice) == 0).double().mean((0, 1)).numpy()
    theirs = published_holes(n, side, np.random.default_rng(0))
    assert np.abs(ours - theirs).max() < 0.02
    corners = ours[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.ptp(corners) < 0.01
    if side == 8:
        assert np.abs(corners - 1 / 9).max() < 0.01


@pytest.mark.parametrize(("side", "most"), [(4, 1), (8, 1), (12, 2), (20, 3), (32, 4)])
def test_translation_shifts_as_far_as_published_and_everywhere_as_often(side, most):
    x = torch.arange(1.0, side + 1).expand(6_000, 1, side, side)
    dice = torch.rand(6_000, 2, generator=torch.Generator().manual_seed(0))
    shifts = translation(x, dice)[:, 0, side // 2, side // 2] - side // 2 - 1
    values, counts = shifts.unique(return_counts=True)
    assert values.tolist() == list(range(-most, most + 1)) and most == int(side * 0.125 + 0.5)
    assert (counts / 6_000 - 1 / len(values)).abs().max() < 0.03


def test_colour_is_that_of_the_published_code():
    x, dice = torch.randn(6, 3, 8, 8), torch.rand(6, 3)
    for before, after, (b, s, c) in zip(x, colour(x, dice), dice, strict=True):
        by_hand = before + (b - 0.5)
        by_hand = (by_hand - by_hand.mean(0)) * (2 * s) + by_hand.mean(0)
        by_hand = (by_hand - by_hand.mean()) * (c + 0.5) + by_hand.mean()
        assert torch.allclose(after, by_hand, atol=1e-5)


def test_colour_of_middle_dice_changes_nothing_and_keeps_shapes():
    x = torch.randn(4, 3, 8, 8)
    assert torch.allclose(colour(x, torch.full((4, 3), 0.5)), x, atol=1e-6)
    brighter = colour(x, torch.tensor([[1.0, 0.5, 0.5]] * 4))
    assert torch.allclose(brighter, x + 0.5, atol=1e-6)


@pytest.mark.parametrize("policy", ["colour", "translation", "cutout"])
def test_the_generators_gradient_passes_through_augmentation(policy):
    x = torch.randn(2, 1, 8, 8, requires_grad=True)
    Augment((policy,))((x,), torch.rand(2, 7))[0].square().sum().backward()
    assert x.grad.abs().sum() > 0


def test_augmentation_is_another_game_on_the_same_data():
    plain, augmented = game("sngan"), game("sngan", augment="translation,cutout")
    [a], _ = played(plain, 1)
    [b], _ = played(augmented, 1)
    assert any((x != y).any() for x, y in zip(tree.leaves(a["params"]), tree.leaves(b["params"]), strict=True))
    with pytest.raises(ValueError, match="no augmentation named 'flip'"):
        game("sngan", augment="flip")
