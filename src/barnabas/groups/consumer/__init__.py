"""Groups whose assignment the coordinator computes and reconciles by epochs (KIP-848)."""
