-- +goose Up
-- For the rooms that decide by whether a person signs in here still, and that
-- keep it so until their transaction ends: a row of it can be locked.
CREATE VIEW person_state AS
SELECT uid, id_assurance_level, closed_at FROM person;

-- +goose Down
DROP VIEW person_state;
