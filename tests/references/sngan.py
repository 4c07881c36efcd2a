"""Spectral normalisation as a textbook loop (Miyato et al. 2018), by torch's own parametrisation and hinge losses.

One power iteration a critic turn, none in the generator's: the critic's weights are cached over real and fake.
"""

import torch
from torch.nn.utils import parametrize


def play(generator, critic, deal, steps, lr, betas):
    """critic: its layers carry torch.nn.utils.parametrizations.spectral_norm."""
    weights = [p for p in critic.parameters() if p.requires_grad]
    critic_optimizer = torch.optim.Adam(weights, lr, betas)
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr, betas)
    for _ in range(steps):
        real, z = deal("critic")
        fake = generator(z).detach()
        critic.train()
        with parametrize.cached():
            loss = (1 - critic(real)).relu().mean() + (1 + critic(fake)).relu().mean()
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()

        _, z = deal("generator")
        critic.eval()
        loss = -critic(generator(z)).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        yield
