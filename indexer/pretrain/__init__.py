"""Training encoders: a loop that can be killed, the chips it learns from (`sources`), and three papers (`recipes`)."""
