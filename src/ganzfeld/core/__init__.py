"""Core: trees of tensors, chance dealt from seed and step, what autograd tells."""
