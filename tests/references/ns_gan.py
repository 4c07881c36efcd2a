"""The non-saturating game as a textbook loop (Goodfellow et al. 2014, Algorithm 1 and section 3)."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce


def play(generator, critic, deal, steps, lr, betas):
    """deal(role) -> (real batch, latents). Yields after every step."""
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr, betas)
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr, betas)
    for _ in range(steps):
        real, z = deal("critic")
        fake = generator(z).detach()
        score_real, score_fake = critic(real), critic(fake)
        loss = bce(score_real, torch.ones_like(score_real)) + bce(score_fake, torch.zeros_like(score_fake))
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()

        _, z = deal("generator")
        score = critic(generator(z))
        loss = bce(score, torch.ones_like(score))
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        yield
