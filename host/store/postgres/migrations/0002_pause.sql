-- Runs can be paused and resumed.
ALTER TABLE commands DROP CONSTRAINT commands_kind_check;
ALTER TABLE commands ADD CONSTRAINT commands_kind_check CHECK (kind IN ('cancel_asked', 'pause_asked', 'resume_asked'));
