"""What a human must say yes to: the store, the broker."""
