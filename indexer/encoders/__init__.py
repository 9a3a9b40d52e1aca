"""Encoders: from pixels to unit vectors."""
