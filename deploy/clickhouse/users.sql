-- The users that kbwatch needs on a ClickHouse server. Put in passwords of your own (`openssl rand
-- -base64 24`), then: clickhouse-client --multiquery < users.sql

CREATE DATABASE IF NOT EXISTS kbwatch;

-- The sink and `kbwatch store`: store.user.
CREATE USER IF NOT EXISTS kbwatch IDENTIFIED WITH sha256_password BY 'CHANGE-ME-1';
GRANT SELECT, INSERT, CREATE TABLE, ALTER, OPTIMIZE ON kbwatch.* TO kbwatch;
-- `kbwatch store status` and `verify` look at the tables as they are.
GRANT SELECT ON system.tables, SELECT ON system.columns, SELECT ON system.parts TO kbwatch;
-- Only with store.cluster: statements ON CLUSTER, and Distributed tables.
GRANT CLUSTER, REMOTE ON *.* TO kbwatch;

-- Grafana: reads, and can't take the server for itself.
CREATE SETTINGS PROFILE IF NOT EXISTS kbwatch_boards SETTINGS
    readonly = 2,
    max_execution_time = 30 READONLY,
    max_memory_usage = 4000000000 READONLY,
    distributed_product_mode = 'global';
CREATE USER IF NOT EXISTS grafana IDENTIFIED WITH sha256_password BY 'CHANGE-ME-2'
    SETTINGS PROFILE 'kbwatch_boards';
GRANT SELECT ON kbwatch.* TO grafana;
