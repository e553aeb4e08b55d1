"""What happened: the segment log, its chain, the index, replay."""
