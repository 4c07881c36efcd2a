"""The gradient penalty as a textbook loop (Gulrajani et al. 2017, Algorithm 1), double backward by create_graph."""

import torch


def play(generator, critic, deal, steps, lr, betas, weight, n_critic):
    """deal("critic") -> (real batch, latents, mixing [B]), deal("generator") -> (None, latents)."""
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr, betas)
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr, betas)
    for _ in range(steps):
        for _ in range(n_critic):
            real, z, mixing = deal("critic")
            fake = generator(z).detach()
            mixing = mixing[:, None]
            between = (mixing * real + (1 - mixing) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = weight * ((slope.norm(dim=1) - 1) ** 2).mean()
            loss = critic(fake).mean() - critic(real).mean() + penalty
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()

        _, z = deal("generator")
        loss = -critic(generator(z)).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        yield
