-- How an asset is reached over SSH, beyond address, pinned keys and credential.
ALTER TABLE assets ADD COLUMN ssh json NOT NULL DEFAULT '{}';
