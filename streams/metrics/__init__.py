"""What a worker counts. Each stage counts what it does, with the names in definitions.py."""
