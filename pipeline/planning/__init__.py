"""What a training will need, told before it starts: memory, arithmetic, hours."""
