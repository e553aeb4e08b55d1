"""Transports: bytes in, bytes out, deadlines, drain."""
