"""``kbwatch run ingest``: what other shippers put on Kafka becomes node reports."""
