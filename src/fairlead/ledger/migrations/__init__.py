"""How older ledgers become current ones, a revision a file under versions/."""
