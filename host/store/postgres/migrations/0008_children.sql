-- A run may carry out an item of another, its parent, and leave outputs.
ALTER TABLE runs
    ADD COLUMN parent_run_id text COLLATE "C", -- no reference: retention removes runs by the day of their creation
    ADD COLUMN parent_step text,
    ADD COLUMN parent_item integer CHECK (parent_item >= 0),
    ADD COLUMN parent_attempt integer CHECK (parent_attempt > 0),
    ADD COLUMN outputs json CHECK (outputs IS NULL OR state = 'succeeded'),
    ADD CHECK ((parent_run_id IS NULL) = (parent_step IS NULL) AND (parent_run_id IS NULL) = (parent_item IS NULL)
        AND (parent_run_id IS NULL) = (parent_attempt IS NULL));

CREATE INDEX runs_by_parent ON runs (parent_run_id, id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_on_top ON runs (tenant, id) WHERE parent_run_id IS NULL;
