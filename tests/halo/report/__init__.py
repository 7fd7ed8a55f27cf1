"""Reports as models write them."""
