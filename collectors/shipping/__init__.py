"""Bundles to Kafka."""
