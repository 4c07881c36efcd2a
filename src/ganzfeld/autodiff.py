"""What autograd tells of the derivative that is being taken: the one home of questions that torch has no public words
for."""

from __future__ import annotations

import torch


def transformed() -> bool:
    """Whether ``torch.func`` maps or differentiates from the outside, where a `Function` has no place."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def asked(ctx, i: int) -> bool:
    """Whether the backward pass under way is after the gradient by input i of a `Function`, no leaf: it may not be,
    though the input asks for one."""
    return ctx.needs_input_grad[i] and torch._C._will_engine_execute_node(ctx.next_functions[i][0])
