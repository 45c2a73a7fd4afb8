"""`sigra doctor`: what an operator should mend, a module for each place where it may be wrong."""
