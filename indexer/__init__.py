"""Pixels to vectors to index."""
