"""Training encoders: what they learn from, and the recipes of the three papers."""
