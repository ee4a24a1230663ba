"""``kbwatch record``: what Kafka has of the fleet's past, as a file that lasts."""
