"""The recipes of the three papers: clip, mpmae, dense."""
