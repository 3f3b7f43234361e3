-- Maintenance windows and freezes. spec is automation.WindowSpec.
CREATE TABLE windows (
    id         TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant     TEXT    NOT NULL CHECK (tenant <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    spec       TEXT    NOT NULL CHECK (json_valid(spec)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name)
) STRICT;
