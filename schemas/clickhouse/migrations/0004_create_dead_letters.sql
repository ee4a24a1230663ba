-- Messages that could not be used; their bytes stay in the dead-letter topics.

CREATE TABLE IF NOT EXISTS dead_letters
(
    origin_topic LowCardinality(String),
    origin_partition UInt32,
    origin_offset UInt64,
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    size_bytes UInt64,
    digest String CODEC(ZSTD(1)),
    _topic_partition LowCardinality(String),
    _offset UInt64 CODEC(Delta(8), ZSTD(1)),
    _index UInt32 CODEC(T64, ZSTD(1)),
    _received_ms DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(_received_ms)
PARTITION BY toYYYYMM(_received_ms)
ORDER BY (origin_topic, origin_partition, origin_offset, digest)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;
