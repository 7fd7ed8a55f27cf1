"""The offline analyst: findings by rules and tests, without a model."""
