-- What the detector counted and concluded.

CREATE TABLE IF NOT EXISTS onsets
(
    fleet LowCardinality(String),
    branch LowCardinality(String),
    domain LowCardinality(String),
    site LowCardinality(String),
    role LowCardinality(String),
    node LowCardinality(String),
    signature LowCardinality(String),
    cls LowCardinality(String),
    impact LowCardinality(String),
    first_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    last_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    times Array(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    record_id UInt64 CODEC(Delta(8), ZSTD(1)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (fleet, branch, signature, first_ms, node)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS verdicts
(
    fleet LowCardinality(String),
    case_id LowCardinality(String),
    kb LowCardinality(String),
    branch LowCardinality(String),
    build LowCardinality(String),
    state LowCardinality(String),
    sentence String CODEC(ZSTD(1)),
    started_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    asof_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    exposed UInt32,
    controls UInt32,
    victims UInt32,
    signature LowCardinality(String),
    log_e Float64,
    log_e_any Float64,
    log_c Float64,
    log_h Float64,
    log_threshold Float64,
    observed UInt32,
    p_5pct Float64,
    rate_95 Float64,
    left_untouched UInt32,
    left_offered UInt32,
    left_staged UInt32,
    left_effective UInt32,
    halt_ms Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    warn_ms Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    notice_ms Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    first_victim_ms Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    victim_nodes Array(String) CODEC(ZSTD(1)),
    reasons Array(String) CODEC(ZSTD(1)),
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
ORDER BY (fleet, case_id, asof_ms, digest)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;
