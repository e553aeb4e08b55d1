"""What policy says: the input, the engines, the decision."""
