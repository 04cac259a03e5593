"""The ledger with real files and processes."""
