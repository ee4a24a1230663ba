-- The wealth that a warning asks. It is never less than log_e, so a verdict of before shows that.

ALTER TABLE verdicts ADD COLUMN IF NOT EXISTS log_e_warn Float64 DEFAULT log_e AFTER log_h;
