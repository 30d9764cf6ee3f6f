"""One file of figures per study."""
