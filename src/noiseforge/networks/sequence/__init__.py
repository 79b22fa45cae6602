"""Networks of sequences (N, T, D): recurrent layers, what is known of a sequence, and how steps become one vector."""
