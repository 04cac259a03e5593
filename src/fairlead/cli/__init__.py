"""What people type: arguments in, tables and messages out."""
