-- What readers ask the leader, and its answers: kept for a minute.
CREATE TABLE questions (
    number   INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which they came
    id       TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    tenant   TEXT    NOT NULL CHECK (tenant <> ''),
    shard    INTEGER NOT NULL,
    run_id   TEXT    NOT NULL,
    asked_at INTEGER NOT NULL,
    answer   BLOB
) STRICT;

CREATE INDEX questions_asked ON questions (shard, number) WHERE answer IS NULL;
CREATE INDEX questions_by_age ON questions (asked_at);
