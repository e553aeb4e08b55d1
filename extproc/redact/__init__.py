"""What must not be seen: detectors, named fields and columns, streaming."""
