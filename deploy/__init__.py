"""What goes with the code when it is handed on: the lock read back, the bill of materials, the audit."""
