"""Pretraining: the model, the stream of tokens, and the loop. `headwater[train]` brings the torch that it needs."""
