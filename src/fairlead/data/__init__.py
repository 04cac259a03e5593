"""Reading data into a table, and splitting its rows."""
