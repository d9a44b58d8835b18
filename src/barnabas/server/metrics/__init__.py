"""What a node tells Prometheus, under the names that Apache Kafka's metrics have there.

Kafka has JMX beans; the rules that come with the JMX exporter (kafka-2_0_0.yml, kafka-kraft-3_0_0.yml)
make names of them, and dashboards and alerts are written for those. Each module here works out one
area when somebody asks; until then there are only integers that the data path adds to.

Not prometheus-client: it takes a lock for each count (1 µs, against 0.05), brings 14 MB, and writes
a whole scrape at once, which would stop the loop for a node of 10,000 partitions.
"""
