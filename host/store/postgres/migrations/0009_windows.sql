-- Maintenance windows and freezes. spec is automation.WindowSpec.
CREATE TABLE windows (
    id         text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant     text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name       text COLLATE "C" NOT NULL CHECK (name <> ''),
    spec       json        NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name)
);
