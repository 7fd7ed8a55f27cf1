"""Pages of sign-in, account and project settings."""
