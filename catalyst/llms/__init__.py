"""Models: endpoints, availability, budgets."""
