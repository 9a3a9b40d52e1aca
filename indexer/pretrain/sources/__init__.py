"""Where chips to learn from come from: folders of scenes, the simulated landscape, mixtures of them."""
