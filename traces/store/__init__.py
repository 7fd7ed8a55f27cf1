"""Where spans live, behind one interface."""
