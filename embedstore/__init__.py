"""What is kept and what it means: the table, the segments of its index, and the store that opens both."""
