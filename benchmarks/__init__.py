"""Side-by-side measurements: ours against a plain loop or a named peer, the same work, interleaved."""
