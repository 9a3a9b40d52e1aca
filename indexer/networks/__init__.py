"""Plain torch modules: the networks of the encoders, without any training."""
