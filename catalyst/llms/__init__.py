"""What signals and Halo both need of models: where they are reached, whether they answer, what they may cost."""
