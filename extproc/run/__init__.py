"""Processes: the worker, the control process, and what watches them."""
