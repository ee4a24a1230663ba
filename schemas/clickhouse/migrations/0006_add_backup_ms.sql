-- When a node's newest backup succeeded: Readiness shows how old it is.

ALTER TABLE node_facts ADD COLUMN IF NOT EXISTS backup_ms Nullable(DateTime64(3, 'UTC'))
    AFTER changes;
