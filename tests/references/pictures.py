"""Plain loops on pictures of 32 x 32 (DCGAN's on larger ones, too), as tutorials write them: modules, `torch.optim`,
``backward``. Nothing of the package is used. Each is a closure that plays n generator steps on batches it is handed.

DCGAN: the shape of pytorch/examples (BCE with logits, one fake batch for both turns). SNGAN: a textbook residual pair
with `torch.nn.utils.parametrizations.spectral_norm`, hinge, five critic turns. WGAN-GP: a convolutional critic without
batch norm, ``create_graph``, five critic turns.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, interpolate
from torch.nn.utils.parametrizations import spectral_norm


def dcgan_generator(channels: int, width: int = 64, latent: int = 100, side: int = 32) -> nn.Module:
    w, top = width, width * side // 8
    layers = [nn.ConvTranspose2d(latent, top, 4, 1, 0, bias=False), nn.BatchNorm2d(top), nn.ReLU(True)]
    for wide in (8 * w, 4 * w, 2 * w)[-int(math.log2(side // 8)) :]:
        layers += [nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(wide // 2), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(w, channels, 4, 2, 1, bias=False), nn.Tanh()).apply(_start)


def dcgan_critic(channels: int, width: int = 64, norm: bool = True, side: int = 32) -> nn.Module:
    w, top, layers = (
        width,
        width * side // 8,
        [nn.Conv2d(channels, width, 4, 2, 1, bias=not norm), nn.LeakyReLU(0.2, True)],
    )
    for narrow in (w, 2 * w, 4 * w)[: int(math.log2(side // 8))]:
        layers.append(nn.Conv2d(narrow, 2 * narrow, 4, 2, 1, bias=not norm))
        layers += [nn.BatchNorm2d(2 * narrow)] if norm else []
        layers.append(nn.LeakyReLU(0.2, norm))  # in place only where nothing is differentiated twice
    return nn.Sequential(*layers, nn.Conv2d(top, 1, 4, 1, 0, bias=not norm), nn.Flatten(0)).apply(_start)


def _start(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def dcgan(channels: int, batches, batch: int = 64, width: int = 64, side: int = 32):
    generator, critic = dcgan_generator(channels, width, side=side), dcgan_critic(channels, width, side=side)
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (critic, generator)]

    def play(n: int) -> nn.Module:
        for _ in range(n):
            real, ones, zeros = next(batches), torch.ones(batch), torch.zeros(batch)
            critic.zero_grad()
            binary_cross_entropy_with_logits(critic(real), ones).backward()
            fake = generator(torch.randn(batch, 100, 1, 1))
            binary_cross_entropy_with_logits(critic(fake.detach()), zeros).backward()
            optimizers[0].step()
            generator.zero_grad()
            binary_cross_entropy_with_logits(critic(fake), ones).backward()
            optimizers[1].step()
        return generator

    return play


class UpBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(width)])
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)])
        self.skip = nn.Conv2d(width, width, 1)

    def forward(self, x):
        h = interpolate(self.norms[0](x).relu(), scale_factor=2)
        h = self.convs[1](self.norms[1](self.convs[0](h)).relu())
        return h + self.skip(interpolate(x, scale_factor=2))


class DownBlock(nn.Module):
    def __init__(self, inputs: int, width: int, down: bool, first: bool = False):
        super().__init__()
        self.convs = nn.ModuleList(
            [spectral_norm(nn.Conv2d(inputs, width, 3, 1, 1)), spectral_norm(nn.Conv2d(width, width, 3, 1, 1))]
        )
        self.skip = spectral_norm(nn.Conv2d(inputs, width, 1)) if down else nn.Identity()
        self.down, self.first = down, first

    def forward(self, x):
        h = self.convs[1](self.convs[0](x if self.first else x.relu()).relu())
        skip = self.skip(x)
        return avg_pool2d(h, 2) + avg_pool2d(skip, 2) if self.down else h + skip


class ResGenerator(nn.Module):
    def __init__(self, channels: int, width: int):
        super().__init__()
        self.start, self.width = nn.Linear(128, 16 * width), width
        self.blocks = nn.Sequential(*(UpBlock(width) for _ in range(3)))
        self.end = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh())

    def forward(self, z):
        return self.end(self.blocks(self.start(z).view(-1, self.width, 4, 4)))


class ResCritic(nn.Module):
    def __init__(self, channels: int, width: int):
        super().__init__()
        self.blocks = nn.Sequential(
            DownBlock(channels, width, True, first=True), DownBlock(width, width, True),
            DownBlock(width, width, False), DownBlock(width, width, False),
        )  # fmt: skip
        self.score = spectral_norm(nn.Linear(width, 1))

    def forward(self, x):
        return self.score(self.blocks(x).relu().sum((2, 3))).squeeze(1)


def sngan(channels: int, batches, batch: int = 64, width: int = 256, critic_width: int = 128):
    generator, critic = ResGenerator(channels, width), ResCritic(channels, critic_width)
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.0, 0.9)) for net in (critic, generator)]

    def play(n: int) -> nn.Module:
        for _ in range(n):
            for _ in range(5):
                with torch.no_grad():
                    fake = generator(torch.randn(batch, 128))
                loss = (1 - critic(next(batches))).relu().mean() + (1 + critic(fake)).relu().mean()
                optimizers[0].zero_grad()
                loss.backward()
                optimizers[0].step()
            optimizers[1].zero_grad()
            (-critic(generator(torch.randn(batch, 128))).mean()).backward()
            optimizers[1].step()
        return generator

    return play


def wgan_gp(channels: int, batches, batch: int = 64, width: int = 64):
    generator, critic = dcgan_generator(channels, width), dcgan_critic(channels, width, norm=False)
    optimizers = [torch.optim.Adam(net.parameters(), 1e-4, (0.0, 0.9)) for net in (critic, generator)]

    def play(n: int) -> nn.Module:
        for _ in range(n):
            for _ in range(5):
                real = next(batches)
                with torch.no_grad():
                    fake = generator(torch.randn(batch, 100, 1, 1))
                mix = torch.rand(batch, 1, 1, 1)
                between = (mix * real + (1 - mix) * fake).requires_grad_()
                (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
                penalty = 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
                loss = critic(fake).mean() - critic(real).mean() + penalty
                optimizers[0].zero_grad()
                loss.backward()
                optimizers[0].step()
            optimizers[1].zero_grad()
            (-critic(generator(torch.randn(batch, 100, 1, 1))).mean()).backward()
            optimizers[1].step()
        return generator

    return play
