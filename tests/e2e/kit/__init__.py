"""What the end-to-end tests are made of: graphd, the program, trees of files.

The standard library and, in marks.py, pytest. Each module says what it owns."""
