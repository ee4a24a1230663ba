-- Grafana's user in ClickHouse: it reads kbwatch's tables and nothing else. The plugin's client must
-- be able to set max_execution_time (its documentation: "Configure a read-only user").
CREATE SETTINGS PROFILE IF NOT EXISTS kbwatch_reader
    SETTINGS readonly = 1, max_execution_time = 30 CHANGEABLE_IN_READONLY,
    max_memory_usage = 4000000000, max_result_rows = 1000000;

-- Replace the zeros, with which nobody can log in: printf %s 'the password' | sha256sum
CREATE USER IF NOT EXISTS grafana
    IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000'
    SETTINGS PROFILE 'kbwatch_reader';

GRANT SELECT ON kbwatch.* TO grafana;
