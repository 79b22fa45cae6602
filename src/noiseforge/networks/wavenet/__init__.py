"""WaveNet: the network, and the ways to run it a sample at a time."""
