-- Credentials whose private key an SSH agent of the host holds.
ALTER TABLE credentials DROP CONSTRAINT credentials_kind_check;
ALTER TABLE credentials ADD CONSTRAINT credentials_kind_check CHECK (kind IN ('password', 'ssh_key', 'ssh_agent'));
