"""Transactions: the decisions of their coordinator, and the state that the log holds."""
