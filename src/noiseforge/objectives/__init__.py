"""Ground floor: pure functions on tensors, each citing its paper. They see no model, optimiser or file."""
