"""A gateway with something behind it, to look at and to try: `python -m demo run`, `python -m demo check`."""
