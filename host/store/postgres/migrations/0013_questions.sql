-- What readers ask the leader, and its answers: kept for a minute, and not worth
-- a place in the write-ahead log.
CREATE UNLOGGED TABLE questions (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order in which they came
    id       text COLLATE "C" NOT NULL UNIQUE CHECK (id <> ''),
    tenant   text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    shard    integer     NOT NULL,
    run_id   text COLLATE "C" NOT NULL,
    asked_at timestamptz NOT NULL,
    answer   bytea
);

CREATE INDEX questions_asked ON questions (shard, number) WHERE answer IS NULL;
CREATE INDEX questions_by_age ON questions (asked_at);
