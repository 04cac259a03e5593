"""The ledger: the only truth about studies, tasks, versions and promotions."""
