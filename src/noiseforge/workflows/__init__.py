"""Third floor: what a person does with a trained model."""
