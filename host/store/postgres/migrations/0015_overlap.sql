-- A schedule may allow its runs to overlap; queue now means one after the other, and
-- schedules that have it keep what it meant.
ALTER TABLE schedules DROP CONSTRAINT schedules_overlap_check;

UPDATE schedules SET overlap = 'allow' WHERE overlap = 'queue';

ALTER TABLE schedules ADD CONSTRAINT schedules_overlap_check CHECK (overlap IN ('skip', 'queue', 'allow', 'cancel'));
