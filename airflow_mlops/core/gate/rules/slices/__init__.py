"""The rule on parts of the rows: none may be made worse."""
