"""Rows, COPY data and notices of the database with what must not be seen masked, a read at a time."""
