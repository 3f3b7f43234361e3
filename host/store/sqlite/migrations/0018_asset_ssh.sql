-- How an asset is reached over SSH, beyond address, pinned keys and credential.
ALTER TABLE assets ADD COLUMN ssh TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(ssh));
