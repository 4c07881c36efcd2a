"""Networks of inference: every maker gives an encoder and a critic of pairs that reads both parts together."""

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from ganzfeld import Spectral, networks
from ganzfeld.networks import ALI, DCGAN, MLP, R3, SNDCGAN, Encoder, ResNet, joint, layers

SMALL = {
    "mlp": MLP(width=16, depth=2),
    "bigan": MLP(width=16, depth=2, latent=5, activation="leaky", norm="batch"),
    "dcgan": DCGAN(width=4, latent=6, critic_norm="none"),
    "sndcgan": SNDCGAN(width=4, latent=6),
    "resnet": ResNet(width=8, critic_width=8, latent=6),
    "r3": R3(width=8, most=16, groups=4, latent=6),
    "ali": ALI(width=4, latent=6),
    "ali1": ALI(width=4, latent=6, pieces=1),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("stochastic", [True, False])
@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (2, 32, 32)])
def test_every_triple_encodes_and_scores_pairs(kind, shape, stochastic):
    maker = SMALL[kind]
    generator, encoder, critic = maker.triple(shape, "score", stochastic)
    z, e = torch.randn(4, maker.latent_of(shape)), torch.randn(4, maker.latent_of(shape))
    x = generator(z)
    codes = [encoder(x), encoder(x, e), encoder(x, -e)]
    assert x.shape == (4, *shape)
    assert all(code.shape == z.shape and code.abs().max() < 100 for code in codes)
    assert stochastic == (not torch.equal(codes[1], codes[2]))
    assert critic(x, z).shape == (4,)
    assert networks.treats_samples_separately(critic) and not networks.mixes_samples(encoder)
    alone = maker.pair(shape)[0]  # with or without an encoder, it is the same generator
    assert [(n, p.shape) for n, p in generator.named_parameters()] == [
        (n, p.shape) for n, p in alone.named_parameters()
    ]


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind != "r3"])
def test_a_critic_of_pairs_reads_both_parts_together(kind):
    """Its score is no sum of one of x and one of z: else it could not tell matched pairs from mixed ones. With every
    layer's norm at 1, since some makers start so small that only then x is heard beside z."""
    shape = (1, 16, 16)
    _, _, module = SMALL[kind].triple(shape)
    weights = {name: p.detach() for name, p in module.named_parameters()}
    bound = Spectral()
    dressed, _ = bound.dress(weights, bound.init(weights), False)

    def critic(*pair):
        return functional_call(module, dressed, pair)

    x, y = torch.randn(2, 64, *shape)
    z, w = torch.randn(2, 64, SMALL[kind].latent_of(shape))
    with torch.no_grad():
        mixed = critic(x, z) - critic(x, w) - critic(y, z) + critic(y, w)
        sizes = [(critic(x, z) - other).abs().mean() for other in (critic(x, w), critic(y, z))]
    assert min(sizes) > 1e-3 * max(sizes)
    assert mixed.abs().mean() > 1e-2 * min(sizes)


@pytest.mark.parametrize("head", ["features", "bilinear"])
@pytest.mark.parametrize("kind", ["mlp", "dcgan", "ali"])
def test_pairs_have_the_heads_of_samples(kind, head):
    shape = (1, 8, 8)
    _, _, critic = SMALL[kind].triple(shape, head)
    out = critic(torch.randn(3, *shape), torch.randn(3, SMALL[kind].latent_of(shape)))
    assert out.shape == ((3, critic.width) if head == "features" else (3,))


def test_a_stochastic_code_is_mean_and_deviation_times_noise():
    encoder = SMALL["ali"].triple((1, 8, 8))[1]
    x, e = torch.randn(2, 1, 8, 8), torch.randn(2, 6)
    mean, std = encoder.moments(x)
    assert isinstance(encoder, Encoder) and bool((std > 0).all())
    assert torch.allclose(encoder(x, e), mean + std * e)
    assert torch.equal(encoder(x), mean)
    assert not torch.allclose(std, torch.ones_like(std))


def test_z_enters_every_layer_of_a_perceptron_linearly():
    critic = SMALL["mlp"].triple((2,))[2]
    x, z = torch.randn(5, 2), torch.randn(5, 2)
    h = x
    for block in critic.features.blocks:
        weight, bias = block[0].weight, block[0].bias
        n = h.shape[1]
        h = F.relu(h @ weight[:, :n].T + z @ weight[:, n:].T + bias)
    assert torch.allclose(critic.features(x, z), h, atol=1e-6)


def test_maxout_is_the_largest_piece():
    h = torch.randn(3, 12, 2, 2)
    assert torch.equal(joint.Maxout(3)(h), h.view(3, 3, 4, 2, 2).amax(1))


def test_ali_has_the_papers_widths_and_sides():
    generator, encoder, critic = ALI().triple((3, 32, 32))
    convs = [m for m in encoder.modules() if isinstance(m, layers.Conv)]
    assert [(m.weight.shape[0], m.weight.shape[2], m.stride) for m in convs] == [
        (32, 5, 1),
        (64, 4, 2),
        (128, 4, 1),
        (256, 4, 2),
    ]
    assert encoder.last.weight.shape == (128, 512)  # 64 means and 64 deviations
    ups = [m for m in generator.modules() if isinstance(m, (layers.FirstTransposed, layers.ConvTransposed))]
    assert [(m.weight.shape[1], m.weight.shape[2]) for m in ups] == [(256, 4), (128, 4), (64, 4), (32, 4), (32, 5)]
    sides = []
    for module in ups:
        module.register_forward_hook(lambda _, __, out: sides.append(out.shape[2]))
    generator(torch.randn(2, 64))
    assert sides == [4, 10, 13, 28, 32]
    assert [m.weight.shape[0] for m in critic.features.of_z if isinstance(m, layers.Dense)] == [2 * 512] * 2
    assert [m.weight.shape[0] for m in critic.features.of_both if isinstance(m, layers.Dense)] == [2 * 1024] * 2


def test_a_valid_transposed_convolution_is_the_adjoint_of_the_convolution():
    up = layers.ConvTransposed(3, 2, 4, 2, init=layers.normal(1.0))
    x, y = torch.randn(1, 3, 5, 5, dtype=torch.float64), torch.randn(1, 2, 12, 12, dtype=torch.float64)
    up = up.double()
    down = F.conv2d(y, up.weight, stride=2)
    assert torch.allclose((up(x) * y).sum(), (x * down).sum())


@pytest.mark.parametrize("side", [64, 128])
def test_ali_names_the_way_out_for_larger_pictures(side):
    with pytest.raises(ValueError, match="--network dcgan"):
        ALI().triple((3, side, side))


def test_spectral_norm_refuses_a_weight_that_starts_at_zero():
    _, critic = SMALL["r3"].pair((1, 8, 8))
    with pytest.raises(ValueError, match="starts at 0"):
        Spectral().init({name: p.detach() for name, p in critic.named_parameters()})
