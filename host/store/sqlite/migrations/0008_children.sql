-- A run may carry out an item of another, its parent, and leave outputs.
ALTER TABLE runs ADD COLUMN parent_run_id TEXT; -- no reference: retention removes runs by the day of their creation
ALTER TABLE runs ADD COLUMN parent_step TEXT;
ALTER TABLE runs ADD COLUMN parent_item INTEGER CHECK (parent_item >= 0);
ALTER TABLE runs ADD COLUMN parent_attempt INTEGER CHECK (parent_attempt > 0
    AND parent_run_id IS NOT NULL AND parent_step IS NOT NULL AND parent_item IS NOT NULL OR parent_attempt IS NULL AND parent_run_id IS NULL);
ALTER TABLE runs ADD COLUMN outputs TEXT CHECK (outputs IS NULL OR json_valid(outputs) AND state = 'succeeded');

CREATE INDEX runs_by_parent ON runs (parent_run_id, id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_on_top ON runs (tenant, id) WHERE parent_run_id IS NULL;
