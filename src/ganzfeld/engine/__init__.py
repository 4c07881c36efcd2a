"""The engine: the only home of compilation, vmap, devices and ranks.

It deals data and noise to a `Game` and plays its turns, always through one pure function of many turns, `play`:

eager       operation by operation, gradients by ``torch.autograd.grad`` (cheaper than ``torch.func.grad`` when
            nothing is compiled)
compiled    several steps in one graph, gradients by ``torch.func.grad``
captured    several steps in one CUDA graph, of the operations that ``eager`` calls
population  the same function of a stack of games: the gradient is mapped, everything else is elementwise. A
            population is cut into groups whose state stays in the processor's cache.
ranks       every process deals the same batch and keeps its share; scores are gathered, gradients summed. That is
            exact for any objective, where averaging the ranks' gradients is wrong for one that is not linear in the
            batch mean.
"""

from .choice import Mode, called, choose, place
from .population import Engine, piece_steps
from .ranks import Ranks
from .turns import ROLES, player, slope

__all__ = ["ROLES", "Engine", "Mode", "Ranks", "called", "choose", "piece_steps", "place", "player", "slope"]
