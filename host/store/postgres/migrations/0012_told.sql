-- Approvals are decided, events are sent to runs, unknown items are resolved.
ALTER TABLE commands DROP CONSTRAINT commands_kind_check;
ALTER TABLE commands ADD CONSTRAINT commands_kind_check
    CHECK (kind IN ('cancel_asked', 'pause_asked', 'resume_asked', 'decision_given', 'event_received', 'item_resolved'));
ALTER TABLE commands ADD COLUMN step integer NOT NULL DEFAULT 0 CHECK (step >= 0);
ALTER TABLE commands ADD COLUMN item integer NOT NULL DEFAULT 0 CHECK (item >= 0);
ALTER TABLE commands ADD COLUMN told json;
ALTER TABLE commands ADD CONSTRAINT commands_told_check
    CHECK ((told IS NULL) = (kind IN ('cancel_asked', 'pause_asked', 'resume_asked')));

-- What items ask somebody to decide: the leader writes it with the facts.
CREATE TABLE approvals (
    run_id       text COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step         integer     NOT NULL CHECK (step >= 0),
    item         integer     NOT NULL CHECK (item >= 0),
    tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    step_id      text        NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
    message      text        NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    by           text        NOT NULL,
    reason       text        NOT NULL,
    decided_at   timestamptz,
    PRIMARY KEY (run_id, step, item),
    CHECK ((decided_at IS NOT NULL) = (state IN ('approved', 'rejected')))
);

CREATE INDEX approvals_by_tenant ON approvals (tenant, run_id, step, item);
CREATE INDEX approvals_by_state ON approvals (tenant, state, run_id, step, item);
