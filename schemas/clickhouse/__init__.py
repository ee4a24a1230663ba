"""The store: ClickHouse tables, migrations, clients behind one protocol, and named queries."""
