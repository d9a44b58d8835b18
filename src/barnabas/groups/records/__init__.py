"""Keys and values of the records of __consumer_offsets and their structs, one generated module each, imported when needed."""
