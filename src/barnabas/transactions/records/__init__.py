"""Keys and values of the records of __transaction_state and their structs, one generated module each, imported when needed."""
