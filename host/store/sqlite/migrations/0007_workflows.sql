CREATE TABLE workflows (
    id          TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant      TEXT    NOT NULL CHECK (tenant <> ''),
    name        TEXT    NOT NULL CHECK (name <> ''),
    version     INTEGER NOT NULL CHECK (version > 0),
    digest      TEXT    NOT NULL CHECK (length(digest) = 64),
    description TEXT    NOT NULL,
    definition  TEXT    NOT NULL CHECK (definition <> ''),
    includes    TEXT    NOT NULL CHECK (json_valid(includes)), -- NAME@VERSION, an array
    state       TEXT    NOT NULL CHECK (state IN ('active', 'retired')),
    stored_by   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    retired_at  INTEGER,
    UNIQUE (tenant, name, version),
    UNIQUE (tenant, name, digest),
    CHECK ((retired_at IS NOT NULL) = (state = 'retired'))
) STRICT;

-- What a version says is never changed.
CREATE TRIGGER workflows_stay BEFORE UPDATE OF tenant, name, version, digest, definition, includes ON workflows
BEGIN
    SELECT RAISE(ABORT, 'a stored workflow is never changed');
END;
