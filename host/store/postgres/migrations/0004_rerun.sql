-- A run may run another one again.
ALTER TABLE runs ADD COLUMN rerun_of text NOT NULL DEFAULT '';
