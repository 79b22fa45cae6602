"""Second floor: metrics are functions of feature tensors, and every figure names its protocol."""
