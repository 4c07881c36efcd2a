"""Weight clipping as a textbook loop (Arjovsky et al. 2017, Algorithm 1): clip after every critic step."""

import torch


def play(generator, critic, deal, steps, lr, bound, turns):
    """deal(role) -> (real batch, latents); turns(step) -> critic turns. Yields after every step."""
    critic_optimizer = torch.optim.RMSprop(critic.parameters(), lr)
    generator_optimizer = torch.optim.RMSprop(generator.parameters(), lr)
    for step in range(steps):
        for _ in range(turns(step)):
            real, z = deal("critic")
            loss = critic(generator(z).detach()).mean() - critic(real).mean()
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
            with torch.no_grad():
                for weight in critic.parameters():
                    weight.clamp_(-bound, bound)

        _, z = deal("generator")
        loss = -critic(generator(z)).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        yield
