-- Halts at each transition, and the newest state of each webhook.

CREATE TABLE IF NOT EXISTS halts
(
    fleet LowCardinality(String),
    case_id LowCardinality(String),
    halt_id String CODEC(ZSTD(1)),
    kb LowCardinality(String),
    branch LowCardinality(String),
    build LowCardinality(String),
    state LowCardinality(String),
    mode LowCardinality(String),
    scope String CODEC(ZSTD(1)),
    sentence String CODEC(ZSTD(1)),
    signature LowCardinality(String),
    at_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    who LowCardinality(String),
    why String CODEC(ZSTD(1)),
    crossed_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    victims UInt32,
    exposed UInt32,
    controls UInt32,
    log_e Float64,
    log_threshold Float64,
    calibration LowCardinality(String),
    trust LowCardinality(String),
    digest String CODEC(ZSTD(1)),
    body String CODEC(ZSTD(3)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, case_id, at_ms, halt_id, state, digest)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS halt_deliveries
(
    fleet LowCardinality(String),
    case_id LowCardinality(String),
    webhook_id String CODEC(ZSTD(1)),
    halt_id String CODEC(ZSTD(1)),
    target LowCardinality(String),
    transition LowCardinality(String),
    state LowCardinality(String),
    created_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    attempts UInt32,
    next_attempt_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    last_status UInt16,
    last_error String CODEC(ZSTD(1)),
    delivered_ms Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    body String CODEC(ZSTD(3)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, case_id, webhook_id)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;
