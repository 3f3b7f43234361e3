-- A run may run another one again.
ALTER TABLE runs ADD COLUMN rerun_of TEXT NOT NULL DEFAULT '';
