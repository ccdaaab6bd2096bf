CREATE DATABASE IF NOT EXISTS `fim`;

CREATE TABLE IF NOT EXISTS `fim`.`events` (
    `Timestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `TraceId` String CODEC(ZSTD(1)),
    `SpanId` String CODEC(ZSTD(1)),
    `TraceFlags` UInt8,
    `SeverityText` LowCardinality(String) CODEC(ZSTD(1)),
    `SeverityNumber` UInt8,
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `Body` String CODEC(ZSTD(1)),
    `ResourceSchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `ResourceAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `ScopeSchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeName` String CODEC(ZSTD(1)),
    `ScopeVersion` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `LogAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `EventName` String CODEC(ZSTD(1)),
    `TimestampTime` DateTime ALIAS toDateTime(Timestamp),
    `__otel_materialized_k8s.cluster.name` LowCardinality(String) MATERIALIZED ResourceAttributes['k8s.cluster.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.container.name` LowCardinality(String) MATERIALIZED ResourceAttributes['k8s.container.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.deployment.name` LowCardinality(String) MATERIALIZED ResourceAttributes['k8s.deployment.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.namespace.name` LowCardinality(String) MATERIALIZED ResourceAttributes['k8s.namespace.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.node.name` LowCardinality(String) MATERIALIZED ResourceAttributes['k8s.node.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.pod.name` LowCardinality(String) MATERIALIZED ResourceAttributes['k8s.pod.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.pod.uid` LowCardinality(String) MATERIALIZED ResourceAttributes['k8s.pod.uid'] CODEC(ZSTD(1)),
    `__otel_materialized_deployment.environment.name` LowCardinality(String) MATERIALIZED ResourceAttributes['deployment.environment.name'] CODEC(ZSTD(1)),
    `__otel_materialized_audit.sequence.stream_id` LowCardinality(String) MATERIALIZED LogAttributes['audit.sequence.stream_id'] CODEC(ZSTD(1)),
    `__otel_materialized_audit.sequence.number` UInt64 MATERIALIZED toUInt64OrZero(LogAttributes['audit.sequence.number']) CODEC(Delta(8), ZSTD(1)),
    `__otel_materialized_host.name` LowCardinality(String) MATERIALIZED ResourceAttributes['host.name'] CODEC(ZSTD(1)),
    `__otel_materialized_file.path` String MATERIALIZED LogAttributes['file.path'] CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE text(tokenizer = 'array'),
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE text(tokenizer = 'array'),
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE text(tokenizer = 'array'),
    INDEX idx_scope_attr_key mapKeys(ScopeAttributes) TYPE text(tokenizer = 'array'),
    INDEX idx_scope_attr_value mapValues(ScopeAttributes) TYPE text(tokenizer = 'array'),
    INDEX idx_log_attr_key mapKeys(LogAttributes) TYPE text(tokenizer = 'array'),
    INDEX idx_log_attr_value mapValues(LogAttributes) TYPE text(tokenizer = 'array'),
    INDEX idx_lower_body lower(Body) TYPE text(tokenizer = 'splitByNonAlpha'),
    INDEX idx_sequence_number `__otel_materialized_audit.sequence.number` TYPE minmax GRANULARITY 1
) ENGINE = MergeTree()
PARTITION BY toDate(Timestamp)
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
TTL toDateTime(least(toUnixTimestamp(Timestamp) + 7776000, 4294967295))
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW `fim`.`otel_fim_files` AS SELECT
    `Timestamp` AS `time`,
    `__otel_materialized_host.name` AS `host`,
    substring(`EventName`, 15) AS `event`,
    `__otel_materialized_file.path` AS `path`,
    LogAttributes['otel_fim.before.file.path'] AS `path_before`,
    LogAttributes['file.type'] AS `type`,
    LogAttributes['file.hash.sha256'] AS `sha256`,
    LogAttributes['otel_fim.before.file.hash.sha256'] AS `sha256_before`,
    toInt64OrNull(LogAttributes['file.size']) AS `size`,
    toInt64OrNull(LogAttributes['otel_fim.before.file.size']) AS `size_before`,
    LogAttributes['file.mode'] AS `mode`,
    LogAttributes['otel_fim.before.file.mode'] AS `mode_before`,
    LogAttributes['file.owner.name'] AS `owner`,
    LogAttributes['otel_fim.before.file.owner.name'] AS `owner_before`,
    LogAttributes['file.group.name'] AS `group`,
    LogAttributes['otel_fim.before.file.group.name'] AS `group_before`,
    LogAttributes['file.symbolic_link.target_path'] AS `link_target`,
    LogAttributes['otel_fim.before.file.symbolic_link.target_path'] AS `link_target_before`,
    JSONExtract(LogAttributes['otel_fim.file.changed_attributes'], 'Array(String)') AS `changed`,
    LogAttributes['user.name'] AS `user`,
    LogAttributes['otel_fim.login.user.name'] AS `login_user`,
    LogAttributes['process.executable.path'] AS `executable`,
    LogAttributes['process.command'] AS `command`,
    toInt64OrNull(LogAttributes['process.pid']) AS `pid`,
    LogAttributes['process.parent.executable'] AS `parent_executable`,
    JSONExtract(LogAttributes['threat.tactic.name'], 'Array(String)') AS `tactics`,
    JSONExtract(LogAttributes['threat.technique.id'], 'Array(String)') AS `techniques`,
    JSONExtract(LogAttributes['threat.technique.subtechnique.id'], 'Array(String)') AS `subtechniques`,
    LogAttributes['otel_fim.threat.confidence'] AS `confidence`,
    LogAttributes['otel_fim.file.backend'] AS `backend`,
    (LogAttributes['otel_fim.file.while_down'] = 'true') AS `while_down`,
    `SeverityText` AS `severity`,
    `__otel_materialized_audit.sequence.stream_id` AS `stream_id`,
    `__otel_materialized_audit.sequence.number` AS `sequence`,
    `Body` AS `body`,
    `LogAttributes` AS `attributes`,
    `ResourceAttributes` AS `resource`
FROM `fim`.`events`
WHERE startsWith(`EventName`, 'otel_fim.file.')
COMMENT 'otel-fim schema 1';

CREATE OR REPLACE VIEW `fim`.`otel_fim_coverage` AS SELECT
    `Timestamp` AS `time`,
    `__otel_materialized_host.name` AS `host`,
    substring(`EventName`, 19) AS `event`,
    LogAttributes['otel_fim.component.id'] AS `component`,
    LogAttributes['otel_fim.coverage.reason'] AS `reason`,
    LogAttributes['otel_fim.coverage.scope'] AS `scope`,
    parseDateTime64BestEffortOrNull(LogAttributes['otel_fim.coverage.start'], 9, 'UTC') AS `start`,
    parseDateTime64BestEffortOrNull(LogAttributes['otel_fim.coverage.end'], 9, 'UTC') AS `end`,
    LogAttributes['otel_fim.coverage.detail'] AS `detail`,
    toInt64OrNull(LogAttributes['otel_fim.coverage.records_lost']) AS `records_lost`,
    `SeverityText` AS `severity`,
    `__otel_materialized_audit.sequence.stream_id` AS `stream_id`,
    `__otel_materialized_audit.sequence.number` AS `sequence`,
    `Body` AS `body`,
    `LogAttributes` AS `attributes`,
    `ResourceAttributes` AS `resource`
FROM `fim`.`events`
WHERE startsWith(`EventName`, 'otel_fim.coverage.')
COMMENT 'otel-fim schema 1';

