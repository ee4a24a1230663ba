-- What nodes say: one row per record of a report.
-- Partitions follow _received_ms, as the TTL does: a node that sends events of many years, or a
-- clock gone mad, opens no more partitions than the calendar. FINAL merges over partitions, so a
-- record replayed in another month is still one row.

CREATE TABLE IF NOT EXISTS node_events
(
    fleet LowCardinality(String),
    node LowCardinality(String),
    domain LowCardinality(String),
    site LowCardinality(String),
    t_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    channel LowCardinality(String),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    id UInt32 CODEC(ZSTD(1)),
    version UInt8 CODEC(ZSTD(1)),
    level UInt8 CODEC(ZSTD(1)),
    record_id UInt64 CODEC(Delta(8), ZSTD(1)),
    data Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    binary String CODEC(ZSTD(1)),
    computer LowCardinality(String),
    about LowCardinality(String),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, node, channel, t_ms, record_id, id)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS patch_states
(
    fleet LowCardinality(String),
    node LowCardinality(String),
    domain LowCardinality(String),
    site LowCardinality(String),
    t_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    kb LowCardinality(String),
    state LowCardinality(String),
    source LowCardinality(String),
    build LowCardinality(String),
    record_id UInt64 CODEC(Delta(8), ZSTD(1)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, kb, node, t_ms, state, source, record_id)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS boots
(
    fleet LowCardinality(String),
    node LowCardinality(String),
    domain LowCardinality(String),
    site LowCardinality(String),
    t_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    build LowCardinality(String),
    clean Nullable(Bool),
    record_id UInt64 CODEC(Delta(8), ZSTD(1)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, node, t_ms, record_id)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS node_facts
(
    fleet LowCardinality(String),
    node LowCardinality(String),
    domain LowCardinality(String),
    site LowCardinality(String),
    t_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    role LowCardinality(String),
    os LowCardinality(String),
    branch LowCardinality(String),
    cluster LowCardinality(String),
    ring LowCardinality(String),
    virtual Nullable(Bool),
    covariates Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    changes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, node, t_ms)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS heartbeats
(
    fleet LowCardinality(String),
    node LowCardinality(String),
    domain LowCardinality(String),
    site LowCardinality(String),
    t_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    sent_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    boot_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    heartbeat_s UInt32,
    collector LowCardinality(String),
    lost UInt64,
    dropped UInt64,
    spool_depth UInt64,
    newest_record_ids Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),
    lags_s Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, node, t_ms)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;
