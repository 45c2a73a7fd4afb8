"""The attacks, a file for each thing that is attacked."""
