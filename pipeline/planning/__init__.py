"""The needs of a training, predicted before it starts: memory, arithmetic, hours."""
