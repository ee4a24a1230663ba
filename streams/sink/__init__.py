"""The sink: one agent per topic with a table, and the named-query socket."""
