"""One replica of a partition: producer state, leader epochs, in-sync replicas, watermarks. Pure."""
