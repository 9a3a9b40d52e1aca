"""Embeddings that others made, brought into stores of their own: recognised by their columns, read in small units.

    file ── layouts ──▶ source ── units ──▶ run ──▶ store
            one file a layout        read, checked, committed

A layout says what its files look like and what their columns mean; ``parquet`` and ``pixels`` do the reading.
"""
