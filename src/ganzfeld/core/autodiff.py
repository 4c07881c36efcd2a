"""What autograd tells of the derivative that is being taken: the one home of questions that torch has no public words
for."""

from __future__ import annotations

import torch


def inside_transform() -> bool:
    """Whether ``torch.func`` maps or differentiates from the outside, where a `Function` has no place."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def needs_gradient(ctx, i: int) -> bool:
    """Whether the backward pass under way is after the gradient by input i of a `Function`: it may not be, though the
    input asks for one. Of a leaf the engine of autograd does not tell, and the answer is yes."""
    if not ctx.needs_input_grad[i]:
        return False
    node = ctx.next_functions[i][0]
    return not node.next_functions or torch._C._will_engine_execute_node(node)
