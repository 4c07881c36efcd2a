"""Four papers as plain training loops: autograd, torch.optim, mutation, no ganzfeld."""
