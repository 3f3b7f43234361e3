-- Credentials whose private key an SSH agent of the host holds. A table's checks are
-- changed by making it anew, and with it the one that refers to it.
CREATE TABLE credentials_2 (
    id         TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant     TEXT    NOT NULL CHECK (tenant <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    kind       TEXT    NOT NULL CHECK (kind IN ('password', 'ssh_key', 'ssh_agent')),
    username   TEXT    NOT NULL,
    scope      TEXT    NOT NULL CHECK (json_valid(scope)),
    sealed     BLOB    NOT NULL CHECK (length(sealed) > 0),
    key_id     TEXT    NOT NULL CHECK (key_id <> ''),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name),
    UNIQUE (tenant, id)
) STRICT;

CREATE TABLE assets_2 (
    id            TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant        TEXT    NOT NULL CHECK (tenant <> ''),
    name          TEXT    NOT NULL CHECK (name <> ''),
    address       TEXT    NOT NULL,
    port          INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
    protocol      TEXT    NOT NULL CHECK (protocol IN ('ssh', 'winrm', 'none')),
    os            TEXT    NOT NULL,
    tags          TEXT    NOT NULL CHECK (json_valid(tags)),
    vars          TEXT    NOT NULL CHECK (json_valid(vars)),
    host_keys     TEXT    NOT NULL CHECK (json_valid(host_keys)),
    credential_id TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    version       INTEGER NOT NULL CHECK (version > 0),
    queue         TEXT    NOT NULL DEFAULT '',
    ssh           TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(ssh)),
    UNIQUE (tenant, name),
    FOREIGN KEY (tenant, credential_id) REFERENCES credentials_2 (tenant, id)
) STRICT;

INSERT INTO credentials_2 (id, tenant, name, kind, username, scope, sealed, key_id, created_at, updated_at, version)
    SELECT id, tenant, name, kind, username, scope, sealed, key_id, created_at, updated_at, version FROM credentials;

INSERT INTO assets_2 (id, tenant, name, address, port, protocol, os, tags, vars, host_keys, credential_id, created_at, updated_at, version, queue, ssh)
    SELECT id, tenant, name, address, port, protocol, os, tags, vars, host_keys, credential_id, created_at, updated_at, version, queue, ssh FROM assets;

DROP TABLE assets;
DROP TABLE credentials;

ALTER TABLE credentials_2 RENAME TO credentials;
ALTER TABLE assets_2 RENAME TO assets;

CREATE INDEX assets_by_credential ON assets (tenant, credential_id) WHERE credential_id IS NOT NULL;
