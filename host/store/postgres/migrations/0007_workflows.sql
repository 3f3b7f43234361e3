CREATE TABLE workflows (
    id          text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant      text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name        text COLLATE "C" NOT NULL CHECK (name <> ''),
    version     integer     NOT NULL CHECK (version > 0),
    digest      text COLLATE "C" NOT NULL CHECK (length(digest) = 64),
    description text        NOT NULL,
    definition  text        NOT NULL CHECK (definition <> ''),
    includes    json        NOT NULL, -- NAME@VERSION, an array
    state       text        NOT NULL CHECK (state IN ('active', 'retired')),
    stored_by   text        NOT NULL,
    created_at  timestamptz NOT NULL,
    retired_at  timestamptz,
    UNIQUE (tenant, name, version),
    UNIQUE (tenant, name, digest),
    CHECK ((retired_at IS NOT NULL) = (state = 'retired'))
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'OC003', MESSAGE = 'a stored workflow is never changed';
END $$;

-- What a version says is never changed.
CREATE TRIGGER workflows_stay BEFORE UPDATE OF tenant, name, version, digest, definition, includes ON workflows
FOR EACH ROW EXECUTE FUNCTION refuse_change();
