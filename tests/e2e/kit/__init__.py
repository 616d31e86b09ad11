"""What the end-to-end tests are made of: graphd, the program, trees of files.

The standard library only. Each module says what it owns."""
