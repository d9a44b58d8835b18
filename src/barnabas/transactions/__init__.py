"""The transaction coordinator: transactional ids, their producers, and how their transactions end."""
